/**
 * A cluster as other control planes write it: its balancer is a list of typed policies, of which the first is nobody's.
 * Our own server writes the older form, so that only here both proxies are told the newer one.
 */

import { pack } from "../../../src/wire/xds/field.ts";
import {
  Cluster as ClusterMessage,
  LeastRequestPolicy,
} from "../../../src/wire/xds/gen/messages.ts";
import {
  decodeResource,
  encodeResource,
  typeUrls,
  type XdsResources,
} from "../../../src/wire/xds/resources.ts";

const policies = [
  { typeUrl: "type.googleapis.com/example.heddle.Lottery" },
  pack(LeastRequestPolicy, {
    choiceCount: { value: 3 },
    localityLbConfig: { localityWeightedLbConfig: {} },
  }),
];

export function withListedBalancer(resources: XdsResources, name: string): XdsResources {
  const clusters = resources.get(typeUrls.cluster);
  const resource = clusters?.get(name);
  if (resource === undefined) throw new Error(`no cluster ${name}`);
  const listed = encodeResource(typeUrls.cluster, name, ClusterMessage, {
    ...decodeResource(ClusterMessage, resource),
    loadBalancingPolicy: {
      policies: policies.map((typedConfig, index) => ({
        typedExtensionConfig: { name: `choice-${index}`, typedConfig },
      })),
    },
  });
  return new Map(resources).set(typeUrls.cluster, new Map(clusters).set(name, listed));
}
