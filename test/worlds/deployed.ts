/**
 * The world that manifests lead to once everything in them runs: pods of each Deployment, ready and on alternating
 * nodes, addresses in the order of the files, EndpointSlices.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Deployment, Pod, Service } from "../../src/api/k8s/core.ts";
import type { Resource } from "../../src/api/resource.ts";
import { type World, worldOf } from "../../src/core/registry/world.ts";
import { endpointSlicesFor } from "../../src/core/services/endpoint-slices.ts";
import { objectsIn } from "./mesh.ts";

const examples = join(import.meta.dirname, "..", "..", "examples");

/** The shop, and documents beside it. Pods are `cart-0`, `cart-1` … */
export function shopWorld(...documents: readonly string[]): World {
  const folder = join(examples, "shop");
  const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
  const texts = files.sort().map((name) => readFileSync(join(folder, name), "utf8"));
  return deployedWorld("shop", [...texts, ...documents]);
}

/** `namespace`: of objects that name none. */
export function deployedWorld(namespace: string, texts: readonly string[]): World {
  const objects = texts.flatMap((text) => objectsIn(text, namespace));
  const pods = [
    ...objects.filter(isKind<Deployment>("Deployment")).flatMap(podsOf),
    ...objects.filter(isKind<Pod>("Pod")),
  ].map(running);
  const services = objects.filter(isKind<Service>("Service")).map((service, index) => ({
    ...service,
    spec: { clusterIP: `10.96.0.${index + 1}`, ...service.spec },
  }));
  const others = objects.filter(({ kind }) => kind !== "Service" && kind !== "Pod");
  const slices = services.flatMap((service) => endpointSlicesFor(service, pods));
  return worldOf([...others, ...pods, ...services, ...slices]);
}

function podsOf(deployment: Deployment): readonly Pod[] {
  const { name, namespace = "default", uid = name } = deployment.metadata;
  const { replicas = 1, template } = deployment.spec;
  return Array.from({ length: replicas }, (_, index) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${name}-${index}`,
      namespace,
      labels: template.metadata?.labels ?? {},
      ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name, uid }],
    },
    spec: { ...template.spec, nodeName: `node-${(index % 2) + 1}` },
  }));
}

function running(pod: Pod, index: number): Pod {
  return {
    ...pod,
    spec: { nodeName: "node-1", ...pod.spec },
    status: {
      phase: "Running",
      podIP: `10.244.0.${index + 1}`,
      conditions: [{ type: "Ready", status: "True" }],
      ...pod.status,
    },
  };
}

function isKind<T extends Resource>(kind: T["kind"]) {
  return (object: Resource): object is T => object.kind === kind;
}
