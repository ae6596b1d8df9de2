/**
 * A cluster as other control planes write it: its balancer is a list of typed policies. Our own server writes the older
 * form, so that only here both proxies are told the newer one.
 */

import { pack } from "../../../src/wire/xds/field.ts";
import type { LoadBalancingPolicy } from "../../../src/wire/xds/gen/message-types.ts";
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

/** The first is nobody's: whoever reads it takes the next. */
export const unknownAndLeastRequest: LoadBalancingPolicy = {
  policies: [
    { typeUrl: "type.googleapis.com/example.heddle.Lottery" },
    pack(LeastRequestPolicy, {
      choiceCount: { value: 3 },
      localityLbConfig: { localityWeightedLbConfig: {} },
    }),
  ].map((typedConfig, index) => ({
    typedExtensionConfig: { name: `choice-${index}`, typedConfig },
  })),
};

export function withListedBalancer(
  resources: XdsResources,
  name: string,
  loadBalancingPolicy: LoadBalancingPolicy,
): XdsResources {
  const clusters = resources.get(typeUrls.cluster);
  const resource = clusters?.get(name);
  if (resource === undefined) throw new Error(`no cluster ${name}`);
  const listed = encodeResource(typeUrls.cluster, name, ClusterMessage, {
    ...decodeResource(ClusterMessage, resource),
    loadBalancingPolicy,
  });
  return new Map(resources).set(typeUrls.cluster, new Map(clusters).set(name, listed));
}
