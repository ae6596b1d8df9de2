/**
 * What does one changed VirtualService cost the server, with n Services, as many VirtualServices and as many sidecars?
 *
 * From one world to the next, for every sidecar: compiled, shared and encoded, as the xDS server does before it sends.
 * Ten namespaces; everybody sees every VirtualService, so that each sidecar's routes change. Processor time. The floor is
 * the first configuration of them all, for which nothing is remembered.
 */

import type { Pod, Service } from "../src/api/k8s/core.ts";
import type { Resource } from "../src/api/resource.ts";
import { workloadLabelsOf } from "../src/core/registry/workloads.ts";
import { applyToWorld, type World, worldOf } from "../src/core/registry/world.ts";
import { endpointSlicesFor } from "../src/core/services/endpoint-slices.ts";
import { Configurations } from "../src/server/xds/configuration.ts";
import type { Client } from "../src/wire/xds/node.ts";
import { medianOf, round } from "./figures.ts";
import type { BenchResult } from "./result.ts";

const sizes = [10, 100, 1_000];
const namespaces = 10;
const changes = 3;

export async function run(): Promise<BenchResult> {
  const all = sizes.map(measure);
  const most = all.at(-1) ?? { n: 0, firstMs: 0, changeMs: 0 };
  return {
    bench: "rule-change",
    unit: `milliseconds of processor time for one changed VirtualService, with ${most.n} of them, Services and sidecars`,
    ours: most.changeMs,
    floor: most.firstMs,
    rivals: {},
    ratio: { floor: round(most.changeMs / most.firstMs) },
    growth: all.map(({ n, changeMs }) => ({ n, value: changeMs })),
    details: all,
  };
}

function measure(n: number) {
  const pods = Array.from({ length: n }, (_, index) => podAt(index));
  const services = pods.map((_, index) => serviceAt(index));
  let world: World = worldOf([
    ...pods,
    ...services,
    ...services.flatMap((service, index) =>
      endpointSlicesFor(service, pods.slice(index, index + 1)),
    ),
    ...pods.map((_, index) => rulesAt(index, 1)),
  ]);
  const clients = pods.map(clientOf);
  const configurations = new Configurations();
  const makeAll = (): number => {
    const before = process.cpuUsage();
    for (const client of clients) configurations.for(client, world);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  const firstMs = makeAll();
  const changed = Array.from({ length: changes }, (_, round) => {
    const change = { type: "modified" as const, version: world.version + 1 };
    world = applyToWorld(world, [{ ...change, object: rulesAt(round, 2 + round) }]);
    return makeAll();
  });
  return { n, firstMs: round(firstMs), changeMs: round(medianOf(changed)) };
}

const named = (index: number) => ({
  namespace: `bench-${index % namespaces}`,
  name: `service-${index}`,
});

const address = (range: number, index: number) =>
  `10.${range}.${Math.floor(index / 256)}.${index % 256}`;

function podAt(index: number): Pod {
  const { name } = named(index);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...named(index), uid: `uid-${index}`, labels: { app: name } },
    spec: {
      nodeName: "node-1",
      serviceAccountName: name,
      containers: [{ name: "main", image: "any" }],
    },
    status: {
      phase: "Running",
      podIP: address(244, index),
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}

function serviceAt(index: number): Service {
  const { name } = named(index);
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: named(index),
    spec: {
      clusterIP: address(96, index),
      selector: { app: name },
      ports: [{ name: "http", port: 80, targetPort: 8080 }],
    },
  };
}

function rulesAt(index: number, seconds: number): Resource {
  const { name } = named(index);
  const route = [{ destination: { host: name } }];
  const http = [
    { match: [{ uri: { prefix: "/slow" } }], timeout: `${seconds}s`, route },
    { route },
  ];
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: named(index),
    spec: { hosts: [name], http },
  } as Resource;
}

function clientOf(pod: Pod): Client {
  const { namespace = "", name } = pod.metadata;
  const ip = pod.status?.podIP ?? "";
  return {
    kind: "sidecar",
    proxy: {
      id: `sidecar~${ip}~${name}.${namespace}~${namespace}.svc.cluster.local`,
      ...{ namespace, pod: name, address: ip },
      workload: workloadLabelsOf(pod),
    },
  };
}
