/**
 * The configuration of one proxy in a world: Istio's semantics, lowered to listeners, routes, clusters and endpoints.
 *
 * What the pod is and which labels it has is read in the world, not taken from what the proxy says of itself; only its
 * address is the proxy's word, since a pod's status may not have it yet. What is the same for all proxies of a
 * namespace is made once (outbound-part.ts).
 *
 * Not here: which of what is visible a sidecar gets (sidecar-scope.ts), and what a gateway serves (gateway/).
 */

import type { Pod } from "../../api/k8s/core.ts";
import type { Compiled } from "../../base/compiled.ts";
import type { Cluster, ProxyConfig, ProxyNode } from "../../model/proxy-config.ts";
import { isGateway } from "../registry/workloads.ts";
import { compareText, objectNamed, type World } from "../registry/world.ts";
import { placeOf } from "./client-place.ts";
import { ProxyContext } from "./context.ts";
import { compileGateway } from "./gateway/compile-gateway.ts";
import { inbound } from "./inbound.ts";
import { blackHoleCluster, passthroughCluster } from "./names.ts";
import { outboundPart } from "./outbound-part.ts";
import { usersSecrets } from "./secrets.ts";
import { withTelemetry } from "./telemetry.ts";

export function compileProxy(world: World, proxy: ProxyNode): Compiled<ProxyConfig> {
  const { namespace } = proxy;
  const pod = objectNamed<Pod>(world, "Pod", namespace, proxy.pod) ?? unknownPod(proxy);
  const labels = pod.metadata.labels ?? {};
  const context = new ProxyContext(world, namespace, labels);
  const { value, diagnostics } = isGateway(pod)
    ? compileGateway(context, pod, proxy)
    : compileSidecar(context, pod, proxy);
  const told = withTelemetry(context, pod, value);
  const secrets = usersSecrets(world, value);
  return {
    value: {
      listeners: sorted(told.value, ({ name }) => name),
      routes: value.routes,
      clusters: sorted([...value.clusters, ...passthrough], ({ name }) => name),
      endpoints: value.endpoints,
      ...(secrets.length === 0 ? {} : { secrets }),
    },
    diagnostics: [...diagnostics, ...told.diagnostics],
  };
}

function compileSidecar(context: ProxyContext, pod: Pod, proxy: ProxyNode): Compiled<ProxyConfig> {
  const { world, namespace, labels } = context;
  const own = inbound(context, pod, proxy);
  const { notes, ...shared } = outboundPart(world, namespace, labels, placeOf(world, pod));
  return {
    value: {
      ...shared,
      listeners: [own.listener, ...shared.listeners],
      clusters: [...own.clusters, ...shared.clusters],
    },
    diagnostics: [...notes, ...context.notes],
  };
}

const passthrough: readonly Cluster[] = [
  {
    name: passthroughCluster,
    protocol: "downstream",
    direction: "outbound",
    discovery: { kind: "original-destination" },
    connectTimeoutMs: 10_000,
    balancer: { kind: "round-robin" },
    circuitBreakers: {},
  },
  {
    name: blackHoleCluster,
    direction: "outbound",
    discovery: { kind: "none" },
    connectTimeoutMs: 10_000,
    balancer: { kind: "round-robin" },
    circuitBreakers: {},
  },
];

/** A pod that is not in the world has no labels, so that only what holds for its whole namespace holds for it. */
function unknownPod(proxy: ProxyNode): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: proxy.namespace, name: proxy.pod },
    spec: { containers: [] },
  };
}

function sorted<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return [...items].sort((a, b) => compareText(key(a), key(b)));
}
