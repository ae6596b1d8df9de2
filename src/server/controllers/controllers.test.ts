import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressBlock } from "../../api/heddle/v1.ts";
import type { Deployment, Node, Pod, Service } from "../../api/k8s/core.ts";
import type { Resource } from "../../api/resource.ts";
import { seededRandom } from "../../base/random.ts";
import { objectsOf, type World, worldOf } from "../../core/registry/world.ts";
import { addressBlocks } from "./address-blocks.ts";
import type { Controller, Reconciled } from "./controller.ts";
import { deployments } from "./deployments.ts";
import { endpointSlices } from "./endpoint-slices.ts";
import { garbage } from "./garbage.ts";
import { namespaces } from "./namespaces.ts";
import { scheduler } from "./scheduler.ts";

const nowMs = Date.parse("2026-01-01T00:00:00Z");

/** Runs controllers on objects as the server would, one round at a time. */
class Bench {
  #objects = new Map<string, Resource>();
  #uids = 0;
  #random = seededRandom(7);

  constructor(...objects: Resource[]) {
    for (const object of objects) this.put(object);
  }

  get world(): World {
    return worldOf(this.#objects.values());
  }

  put(object: Resource): void {
    const uid = object.metadata.uid ?? `uid-${++this.#uids}`;
    const creationTimestamp = object.metadata.creationTimestamp ?? "2026-01-01T00:00:00Z";
    const metadata = { ...object.metadata, uid, creationTimestamp };
    this.#objects.set(slot(object), { ...object, metadata });
  }

  drop(object: Resource): void {
    this.#objects.delete(slot(object));
  }

  /** One round: what the controller wants written, which is then written. */
  round(controller: Controller, atMs = nowMs): Reconciled {
    const reconciled = controller.reconcile(this.world, { nowMs: atMs, random: this.#random });
    for (const write of reconciled.writes) {
      if (write.verb === "delete") this.drop(write.object);
      else if (write.verb === "status") this.put({ ...write.object, status: write.status } as Pod);
      else this.put(write.object);
    }
    return reconciled;
  }

  pods(): readonly Pod[] {
    return objectsOf<Pod>(this.world, "Pod");
  }

  makeReady(pod: Pod): void {
    const conditions = [{ type: "Ready", status: "True" }] as const;
    const status = { phase: "Running", podIP: "10.244.0.9", conditions } as const;
    this.put({ ...pod, status } as Pod);
  }
}

function slot({ kind, metadata }: Resource): string {
  return `${kind} ${metadata.namespace ?? ""}/${metadata.name}`;
}

describe("the deployments controller", () => {
  test("makes as many pods as are wanted, named and owned, and then rests", () => {
    const bench = new Bench(deployment({ replicas: 3 }));
    bench.round(deployments);
    const pods = bench.pods();
    assert.equal(pods.length, 3);
    for (const { metadata, spec } of pods) {
      assert.match(metadata.name, /^web-[0-9a-f]{10}-[a-z0-9]{5}$/);
      assert.equal(metadata.labels?.["app"], "web");
      assert.equal(metadata.ownerReferences?.[0]?.name, "web");
      assert.equal(spec.containers[0]?.image, "web:1");
    }
    const next = bench.round(deployments).writes.map(({ verb }) => verb);
    assert.deepEqual(next, ["status"], "the second round counts the pods");
    assert.deepEqual(bench.round(deployments).writes, []);
  });

  test("scales down those least worth keeping: not ready before ready, unplaced before placed", () => {
    const bench = new Bench(deployment({ replicas: 3 }));
    bench.round(deployments);
    const [ready, placed] = bench.pods();
    assert.ok(ready && placed);
    bench.makeReady(ready);
    bench.put({ ...placed, spec: { ...placed.spec, nodeName: "n" } } as Pod);
    bench.put({ ...deployment({ replicas: 2 }), metadata: idOf(bench, "web") });
    bench.round(deployments);
    assert.deepEqual(names(bench.pods()), names([ready, placed]));
  });

  test("replaces pods one by one when the template changes, and never has too few ready", () => {
    const bench = new Bench(deployment({ replicas: 3 }));
    bench.round(deployments);
    for (const pod of bench.pods()) bench.makeReady(pod);
    bench.put({ ...deployment({ replicas: 3, image: "web:2" }), metadata: idOf(bench, "web") });
    const counts: number[] = [];
    for (let round = 0; round < 12; round++) {
      bench.round(deployments);
      counts.push(bench.pods().length);
      assert.ok(bench.pods().filter(isReady).length >= 3, "three stay ready");
      assert.ok(bench.pods().length <= 4, "at most one more than wanted");
      const [waiting] = bench.pods().filter((pod) => !isReady(pod));
      if (waiting) bench.makeReady(waiting);
    }
    assert.deepEqual([...new Set(bench.pods().map(imageOf))], ["web:2"]);
    assert.equal(bench.pods().length, 3);
    assert.ok(counts.includes(4));
  });

  test("gives up the old pods that are not ready at once when the template changes", () => {
    const bench = new Bench(deployment({ replicas: 2, image: "broken" }));
    bench.round(deployments);
    bench.put({ ...deployment({ replicas: 2 }), metadata: idOf(bench, "web") });
    bench.round(deployments);
    bench.round(deployments);
    assert.deepEqual(bench.pods().map(imageOf), ["web:1", "web:1"]);
  });

  test("removes all first under strategy Recreate", () => {
    const bench = new Bench(deployment({ replicas: 2, strategy: "Recreate" }));
    bench.round(deployments);
    for (const pod of bench.pods()) bench.makeReady(pod);
    const next = deployment({ replicas: 2, strategy: "Recreate", image: "web:2" });
    bench.put({ ...next, metadata: idOf(bench, "web") });
    bench.round(deployments);
    assert.equal(bench.pods().length, 0);
    bench.round(deployments);
    assert.deepEqual(bench.pods().map(imageOf), ["web:2", "web:2"]);
  });

  test("replaces a pod that is being deleted before it is gone", () => {
    const bench = new Bench(deployment({ replicas: 1 }));
    bench.round(deployments);
    const [pod] = bench.pods();
    assert.ok(pod);
    const metadata = { ...pod.metadata, deletionTimestamp: "2026-01-01T00:00:30Z" };
    bench.put({ ...pod, metadata });
    bench.round(deployments);
    assert.equal(bench.pods().length, 2);
    assert.equal(
      bench.round(deployments).writes.some(({ verb }) => verb === "create"),
      false,
    );
  });

  test("replaces a failed pod, one that failed at once only after a pause", () => {
    const bench = new Bench(deployment({ replicas: 1 }));
    bench.round(deployments);
    const [pod] = bench.pods();
    assert.ok(pod);
    bench.put({ ...pod, status: { phase: "Failed" } } as Pod);
    const paused = bench.round(deployments, nowMs + 3_000);
    assert.deepEqual(names(bench.pods()), names([pod]));
    assert.equal(paused.againInMs, 7_000);
    bench.round(deployments, nowMs + 10_000);
    assert.equal(bench.pods().length, 1);
    assert.notEqual(bench.pods()[0]?.metadata.name, pod.metadata.name);
  });

  test("leaves pods alone that it does not own", () => {
    const stranger = pod("stranger", { labels: { app: "web" } });
    const bench = new Bench(stranger, deployment({ replicas: 0 }));
    bench.round(deployments);
    assert.deepEqual(names(bench.pods()), ["stranger"]);
  });
});

describe("the scheduler", () => {
  test("spreads a Deployment's pods over the nodes that are ready", () => {
    const cordoned = { ...node("n4"), spec: { unschedulable: true } };
    const bench = new Bench(node("n1"), node("n2"), node("n3", "False"), cordoned);
    bench.put(deployment({ replicas: 4 }));
    bench.round(deployments);
    bench.round(scheduler);
    assert.deepEqual(
      bench
        .pods()
        .map(({ spec }) => spec.nodeName)
        .sort(),
      ["n1", "n1", "n2", "n2"],
    );
    assert.deepEqual(bench.round(scheduler).writes, []);
  });

  test("prefers the emptier node for pods that nobody owns", () => {
    const bench = new Bench(node("n1"), node("n2"), pod("a", { nodeName: "n1" }), pod("b"));
    bench.round(scheduler);
    assert.equal(bench.pods()[1]?.spec.nodeName, "n2");
  });

  test("obeys nodeSelector, and says why a pod has no place", () => {
    const zoned = node("n2");
    const labels = { zone: "b" };
    const bench = new Bench(node("n1"), { ...zoned, metadata: { ...zoned.metadata, labels } });
    bench.put(pod("a", { nodeSelector: { zone: "b" } }));
    bench.put(pod("z", { nodeSelector: { zone: "c" } }));
    bench.round(scheduler);
    const [placed, waiting] = bench.pods();
    assert.equal(placed?.spec.nodeName, "n2");
    assert.equal(waiting?.spec.nodeName, undefined);
    assert.equal(
      waiting?.status?.conditions?.[0]?.message,
      "none of 2 ready nodes has the labels zone=c",
    );
    assert.deepEqual(bench.round(scheduler).writes, []);
  });
});

describe("the endpoint-slices controller", () => {
  test("follows pods as they become ready and go", () => {
    const service: Service = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web", namespace: "shop" },
      spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
    };
    const bench = new Bench(service, pod("a", { labels: { app: "web" } }));
    const [a] = bench.pods();
    assert.ok(a);
    const addresses = () =>
      [...(bench.world.objects.get("EndpointSlice")?.values() ?? [])].flatMap((slice) =>
        (slice as unknown as { endpoints: { addresses: string[] }[] }).endpoints.flatMap(
          (endpoint) => endpoint.addresses,
        ),
      );
    bench.round(endpointSlices);
    assert.deepEqual(addresses(), []);
    bench.makeReady(a);
    bench.round(endpointSlices);
    assert.deepEqual(addresses(), ["10.244.0.9"]);
    assert.deepEqual(bench.round(endpointSlices).writes, []);
    bench.drop(a);
    bench.round(endpointSlices);
    assert.deepEqual(addresses(), []);
    bench.drop(service);
    bench.round(endpointSlices);
    assert.equal(bench.world.objects.has("EndpointSlice"), false);
  });

  test("leaves the slices alone that users wrote", () => {
    const slice = {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: "own", namespace: "shop" },
      addressType: "IPv4",
      ports: [],
      endpoints: [],
    };
    assert.deepEqual(new Bench(slice).round(endpointSlices).writes, []);
  });
});

describe("the garbage controller", () => {
  test("deletes what its owner left, also where another took the owner's name", () => {
    const bench = new Bench(deployment({ replicas: 2 }));
    bench.round(deployments);
    assert.deepEqual(bench.round(garbage).writes, []);
    bench.drop(deployment({}));
    bench.put(deployment({ replicas: 0 }));
    bench.round(garbage);
    assert.deepEqual(bench.pods(), []);
  });
});

describe("the namespaces controller", () => {
  test("empties a namespace that is being deleted before it lets it go", () => {
    const leaving = {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "shop", deletionTimestamp: "2026-01-01T00:00:00Z" },
    };
    const bench = new Bench(leaving, pod("a"));
    const first = bench.round(namespaces).writes;
    assert.deepEqual(
      first.map(({ object }) => object.kind),
      ["Pod"],
    );
    const second = bench.round(namespaces).writes;
    assert.deepEqual(
      second.map(({ object }) => object.kind),
      ["Namespace"],
    );
  });
});

interface Template {
  readonly replicas?: number;
  readonly image?: string;
  readonly strategy?: "Recreate";
}

function deployment({ replicas = 1, image = "web:1", strategy }: Template): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "shop" },
    spec: {
      replicas,
      selector: { matchLabels: { app: "web" } },
      ...(strategy && { strategy: { type: strategy } }),
      template: {
        metadata: { labels: { app: "web" } },
        spec: { containers: [{ name: "web", image }] },
      },
    },
  };
}

interface PodParts {
  readonly labels?: Readonly<Record<string, string>>;
  readonly nodeName?: string;
  readonly nodeSelector?: Readonly<Record<string, string>>;
}

function pod(name: string, { labels = {}, ...spec }: PodParts = {}): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "shop", labels },
    spec: { ...spec, containers: [{ name: "app", image: "app" }] },
  };
}

function node(name: string, ready: "True" | "False" = "True"): Node {
  const status = { conditions: [{ type: "Ready", status: ready }] };
  return { apiVersion: "v1", kind: "Node", metadata: { name }, status };
}

/** The metadata of the Deployment as it is stored: an update keeps it. */
function idOf(bench: Bench, name: string) {
  const [found] = objectsOf<Deployment>(bench.world, "Deployment");
  assert.equal(found?.metadata.name, name);
  return found.metadata;
}

function isReady(one: Pod): boolean {
  return (
    one.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ??
    false
  );
}

function imageOf(one: Pod): string | undefined {
  return one.spec.containers[0]?.image;
}

function names(pods: readonly Pod[]): readonly string[] {
  return pods.map(({ metadata }) => metadata.name).sort();
}

describe("the address-blocks controller", () => {
  const node = (name: string): Node => ({ apiVersion: "v1", kind: "Node", metadata: { name } });
  const block = (spec: Partial<AddressBlock["spec"]>): AddressBlock => ({
    apiVersion: "heddle.dev/v1",
    kind: "AddressBlock",
    metadata: { name: "10.244.0.0-26" },
    spec: { cidr: "10.244.0.0/26", node: "one", ...spec },
  });
  const own = { cidr: "10.244.0.0/27", node: "one" };
  const borrowed = { cidr: "10.244.0.48/28", node: "two" };
  const settled = (bench: Bench) => {
    for (let rounds = 0; bench.round(addressBlocks).writes.length > 0; rounds++) {
      assert.ok(rounds < 5, "it comes to rest");
    }
    return objectsOf<AddressBlock>(bench.world, "AddressBlock");
  };

  test("leaves blocks of nodes that are there alone, whatever they claim of them", () => {
    for (const claims of [[], [own], [own, borrowed]]) {
      const bench = new Bench(node("one"), node("two"), block({ claims }));
      assert.deepEqual(bench.round(addressBlocks).writes, []);
    }
  });

  test("deletes the block of a node that left, with claims and without", () => {
    assert.deepEqual(settled(new Bench(block({}))), []);
    assert.deepEqual(settled(new Bench(block({ claims: [own] }))), []);
  });

  test("keeps what others borrowed of it, and makes one of them its owner", () => {
    const [kept] = settled(new Bench(node("two"), block({ claims: [own, borrowed] })));
    assert.deepEqual(kept?.spec, { cidr: "10.244.0.0/26", node: "two", claims: [borrowed] });
  });

  test("takes back what a node that left had borrowed, and nothing else", () => {
    const [kept] = settled(new Bench(node("one"), block({ claims: [own, borrowed] })));
    assert.deepEqual(kept?.spec, { cidr: "10.244.0.0/26", node: "one", claims: [own] });
  });

  test("finishes the deletion of a block that its node released", () => {
    assert.deepEqual(settled(new Bench(node("one"), block({ claims: [], released: true }))), []);
  });
});
