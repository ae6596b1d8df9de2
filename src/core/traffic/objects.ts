/** The objects that have a say in how a Service is called: itself, its routes and rules, the policies of its pods. */

import type { DestinationRule, VirtualService } from "../../api/istio/networking.ts";
import type { PeerAuthentication } from "../../api/istio/security.ts";
import type { Pod, Service } from "../../api/k8s/core.ts";
import type { NetworkPolicy } from "../../api/k8s/network-policy.ts";
import type { Resource } from "../../api/resource.ts";
import { serviceHost } from "../../model/names.ts";
import { authorizationPoliciesFor } from "../mesh/authorization.ts";
import { hostMatches, resolveHost } from "../mesh/host.ts";
import { delegatesOf } from "../mesh/http-rules.ts";
import { rootNamespace } from "../mesh/visibility.ts";
import { matchesLabels, matchesSelector } from "../registry/selector.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import { placesOf } from "./places.ts";

export function objectsAbout(world: World, service: Service): readonly Resource[] {
  const namespace = namespaceOf(service);
  const host = serviceHost(namespace, service.metadata.name);
  const names = (written: string, owner: string): boolean =>
    hostMatches(resolveHost(written, owner), host);
  const pods = placesOf(world).at(objectKey(service)).pods;
  const anyPod = (holds: (pod: Pod) => boolean): boolean => pods.some(holds);
  const authorization = pods.flatMap((pod) =>
    authorizationPoliciesFor(world, namespaceOf(pod), pod.metadata.labels ?? {}),
  );
  const roots = objectsOf<VirtualService>(world, "VirtualService").filter((rules) =>
    (rules.spec.hosts ?? []).some((written) => names(written, namespaceOf(rules))),
  );
  return [
    service,
    ...new Set(
      roots.flatMap((root) => [root, ...delegatesOf(world, root).flatMap((one) => one ?? [])]),
    ),
    ...objectsOf<DestinationRule>(world, "DestinationRule").filter((rule) =>
      names(rule.spec.host, namespaceOf(rule)),
    ),
    ...objectsOf<PeerAuthentication>(world, "PeerAuthentication").filter(
      (policy) =>
        [namespace, rootNamespace].includes(namespaceOf(policy)) &&
        (policy.spec?.selector === undefined ||
          anyPod((pod) =>
            matchesLabels(pod.metadata.labels, policy.spec?.selector?.matchLabels ?? {}),
          )),
    ),
    ...new Set(authorization),
    ...objectsOf<NetworkPolicy>(world, "NetworkPolicy").filter(
      (policy) =>
        namespaceOf(policy) === namespace &&
        anyPod((pod) => matchesSelector(pod.metadata.labels, policy.spec.podSelector ?? {})),
    ),
  ];
}
