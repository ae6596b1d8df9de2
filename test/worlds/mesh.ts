/**
 * Worlds for tests of the mesh: Services and pods in a short notation, Istio's objects as users write them.
 *
 * Addresses follow from the order: the first pod is 10.244.0.1, the first Service 10.96.0.1.
 */

import { parse, parseAllDocuments } from "yaml";
import type { Pod, Service } from "../../src/api/k8s/core.ts";
import type { Resource } from "../../src/api/resource.ts";
import type { Compiled } from "../../src/base/compiled.ts";
import { compileProxy } from "../../src/core/mesh/compile-proxy.ts";
import { workloadLabelsOf } from "../../src/core/registry/workloads.ts";
import { objectNamed, type World, worldOf } from "../../src/core/registry/world.ts";
import { endpointSlicesFor } from "../../src/core/services/endpoint-slices.ts";
import type { ProxyConfig, ProxyNode } from "../../src/model/proxy-config.ts";

interface PodNotation {
  /** `app: <name>` unless given. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** The pod's name unless given. */
  readonly account?: string;
  readonly ready?: boolean;
  /** `<hostname>.<subdomain>`, as a StatefulSet's pods have. */
  readonly hostname?: string;
  /** `node-1` unless given. */
  readonly node?: string;
}

interface ServiceNotation {
  /** `app: <name>` unless given. */
  readonly selector?: Readonly<Record<string, string>>;
  /** `http: 8080`, or `http: 80>8080` where the pods listen elsewhere. */
  readonly ports: Readonly<Record<string, number | string>>;
  readonly headless?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly trafficDistribution?: NonNullable<Service["spec"]["trafficDistribution"]>;
}

/**
 * `pods: { shop/cart: {} }` and `services: { shop/cart: { ports: { http: 8080 } } }`; after them documents of any kind
 * (in namespace `shop` unless they say otherwise).
 */
export function meshWorld(short: string, ...documents: readonly string[]): World {
  const { pods = {}, services = {} } = parse(short) as {
    pods?: Record<string, PodNotation | null>;
    services?: Record<string, ServiceNotation>;
  };
  const podObjects = Object.entries(pods).map(([name, notation], index) =>
    podOf(name, notation ?? {}, index + 1),
  );
  const serviceObjects = Object.entries(services).map(([name, notation], index) =>
    serviceOf(name, notation, index + 1),
  );
  return worldOf([
    ...podObjects,
    ...serviceObjects,
    ...serviceObjects.flatMap((service) => endpointSlicesFor(service, podObjects)),
    ...documents.flatMap((text) => objectsIn(text, "shop")),
  ]);
}

/** The objects of a YAML stream; a missing namespace is filled in. */
export function objectsIn(text: string, namespace: string): readonly Resource[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Resource | null)
    .filter((object) => object !== null)
    .map((object, index) => ({
      ...object,
      metadata: { namespace, ...object.metadata, name: object.metadata?.name ?? `object-${index}` },
    }));
}

/** The configuration of the pod's sidecar. */
export function compileFor(world: World, pod: string): Compiled<ProxyConfig> {
  return compileProxy(world, proxyOf(world, pod));
}

export function proxyOf(world: World, name: string): ProxyNode {
  const [namespace = "", pod = ""] = name.split("/");
  const object = objectNamed<Pod>(world, "Pod", namespace, pod);
  if (object === undefined) throw new Error(`the world has no pod ${name}`);
  const address = object.status?.podIP ?? "";
  return {
    id: `sidecar~${address}~${pod}.${namespace}~${namespace}.svc.cluster.local`,
    namespace,
    pod,
    address,
    workload: workloadLabelsOf(object),
  };
}

function podOf(qualified: string, notation: PodNotation, index: number): Pod {
  const [namespace = "", name = ""] = qualified.split("/");
  const [hostname, subdomain] = notation.hostname?.split(".") ?? [];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      namespace,
      name,
      uid: `uid-${name}`,
      labels: notation.labels ?? { app: name },
      ...(notation.annotations === undefined ? {} : { annotations: notation.annotations }),
    },
    spec: {
      nodeName: notation.node ?? "node-1",
      serviceAccountName: notation.account ?? name,
      ...(hostname === undefined ? {} : { hostname }),
      ...(subdomain === undefined ? {} : { subdomain }),
      containers: [{ name: "main", image: "any" }],
    },
    status: {
      phase: "Running",
      podIP: `10.244.0.${index}`,
      conditions: [{ type: "Ready", status: notation.ready === false ? "False" : "True" }],
    },
  };
}

function serviceOf(qualified: string, notation: ServiceNotation, index: number): Service {
  const [namespace = "", name = ""] = qualified.split("/");
  const { annotations, trafficDistribution } = notation;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace, name, ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      clusterIP: notation.headless === true ? "None" : `10.96.0.${index}`,
      selector: notation.selector ?? { app: name },
      ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
      ports: Object.entries(notation.ports).map(([portName, written]) => {
        const [port, targetPort] = `${written}`.split(">").map(Number);
        return {
          name: portName,
          port: port ?? 0,
          ...(targetPort === undefined ? {} : { targetPort }),
        };
      }),
    },
  };
}
