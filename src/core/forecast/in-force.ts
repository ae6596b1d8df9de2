/**
 * What is in force for callers of a service: endpoints, balancer, retries, outlier detection.
 *
 * It is read from the configuration that a caller's sidecar gets, by the compiler that makes it: what no
 * DestinationRule says is Istio's default here as there. Where callers have different configurations, the first stands
 * for all; where a route splits requests between versions, all their endpoints are taken as alike.
 */

import type { Pod, Service } from "../../api/k8s/core.ts";
import { clusterDomain, serviceHost } from "../../model/names.ts";
import type {
  BalancerPolicy,
  Cluster,
  ProxyConfig,
  ProxyNode,
  RetryPolicy,
} from "../../model/proxy-config.ts";
import { sidecarOf } from "../explain/pods.ts";
import { compileProxy } from "../mesh/compile-proxy.ts";
import { walkOutbound } from "../mesh/walk.ts";
import { clusterIpOf, endpointsOf, servicePortsOf } from "../registry/services.ts";
import { isMeshed, isReady, workloadLabelsOf } from "../registry/workloads.ts";
import { objectNamed, objectsOf, type World } from "../registry/world.ts";
import type { Deployment } from "./deployment.ts";

/** `callers` are `namespace/workload`. Undefined where there is no such Service. */
export function deploymentOf(
  world: World,
  namespace: string,
  name: string,
  callers: ReadonlySet<string>,
): Deployment | undefined {
  const service = objectNamed<Service>(world, "Service", namespace, name);
  if (service === undefined) return undefined;
  const pods = objectsOf<Pod>(world, "Pod").filter((pod) => callsFor(pod, callers));
  const [first] = pods;
  const caller = first === undefined ? strangerIn(namespace) : sidecarOf(first);
  const { value: config } = compileProxy(world, caller);
  const { cluster, retry } = wayTo(config, service) ?? {};
  return {
    service: `${namespace}/${name}`,
    replicas: readyEndpoints(world, service),
    balancing: balancingOf(cluster?.balancer),
    clients: Math.max(1, pods.length),
    retries: retriesOfDead(retry),
    ...(cluster?.outlierDetection === undefined ? {} : { outliers: cluster.outlierDetection }),
  };
}

/** To a model, keys are chance; and peak-EWMA looks at load as least request does. */
function balancingOf(balancer: BalancerPolicy | undefined): Deployment["balancing"] {
  switch (balancer?.kind) {
    case "ring-hash":
    case "maglev":
      return "random";
    case "peak-ewma":
    case undefined:
      return "least-request";
    default:
      return balancer?.kind ?? "least-request";
  }
}

function callsFor(pod: Pod, callers: ReadonlySet<string>): boolean {
  const { namespace, workload } = workloadLabelsOf(pod);
  return callers.has(`${namespace}/${workload}`) && isMeshed(pod) && isReady(pod);
}

/** Nobody has called yet: what a pod without labels in the Service's own namespace would get. */
function strangerIn(namespace: string): ProxyNode {
  const workload = { namespace, workload: "", app: "", version: "", serviceAccount: "default" };
  const id = `sidecar~0.0.0.0~stranger.${namespace}~${namespace}.svc.${clusterDomain}`;
  return { id, namespace, pod: "stranger", address: "0.0.0.0", workload };
}

interface WayTo {
  readonly cluster: Cluster;
  readonly retry: RetryPolicy | undefined;
}

/** The cluster that most requests for the Service go to, and how they are retried. */
function wayTo(config: ProxyConfig, service: Service): WayTo | undefined {
  const { namespace = "default", name } = service.metadata;
  const isOurs = ({ direction, service: of }: Cluster): boolean =>
    direction === "outbound" && of?.namespace === namespace && of.name === name;
  const [port] = servicePortsOf(service);
  const address = clusterIpOf(service);
  if (port !== undefined && address !== undefined) {
    const http = { host: `${serviceHost(namespace, name)}:${port.port}` };
    const walk = walkOutbound(config, { address, port: port.port, http });
    const [most] = [...walk.destinations].sort((a, b) => b.share - a.share);
    const cluster = config.clusters.find((one) => one.name === most?.cluster && isOurs(one));
    const retry = walk.route?.action.kind === "forward" ? walk.route.action.retry : undefined;
    if (cluster !== undefined) return { cluster, retry };
  }
  const any = config.clusters.find(isOurs);
  return any === undefined ? undefined : { cluster: any, retry: undefined };
}

function readyEndpoints(world: World, service: Service): number {
  const [port] = servicePortsOf(service);
  if (port === undefined) return 0;
  return endpointsOf(world, service, port).filter(({ ready, terminating }) => ready && !terminating)
    .length;
}

/** A dead application is a 503 of its own sidecar, a dead pod a failure to connect. */
function retriesOfDead(retry: RetryPolicy | undefined): number {
  if (retry === undefined) return 0;
  const { on, attempts, retriableStatusCodes } = retry;
  const takes503 =
    on.includes("5xx") ||
    on.includes("gateway-error") ||
    (on.includes("retriable-status-codes") && retriableStatusCodes.includes(503));
  return takes503 ? attempts : 0;
}
