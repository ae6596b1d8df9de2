import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment, EndpointSlice, Node, Pod, Service } from "../../api/k8s/core.ts";
import { createLog } from "../../base/log.ts";
import { seededRandom } from "../../base/random.ts";
import { objectsOf, type World } from "../../core/registry/world.ts";
import { memoryStore } from "../../store/memory.ts";
import { keyOf, openObjects } from "../api/objects.ts";
import { openServiceAddresses } from "../api/service-addresses.ts";
import { createFirstObjects } from "../first-objects.ts";
import { wallClock } from "../testdata/wall-clock.ts";
import { openWorld } from "../world.ts";
import { controllers } from "./all.ts";
import { runController } from "./run.ts";

test("a Deployment and a Service become placed pods and endpoints, and go together", async () => {
  const stop = new AbortController();
  const store = memoryStore();
  const random = seededRandom(3);
  const addresses = await openServiceAddresses(store);
  const objects = openObjects({ store, addresses, now: Date.now, random });
  await createFirstObjects(objects);
  const world = await openWorld(store, stop.signal);
  const refusals: string[] = [];
  const log = createLog((line) => refusals.push(line), Date.now, "warn");
  const options = { world, objects, clock: wallClock, random, log };
  const running = controllers.map((controller) => runController(controller, options, stop.signal));

  const node = (name: string): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const deployment: Deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "default" },
    spec: {
      replicas: 4,
      selector: { matchLabels: { app: "web" } },
      template: {
        metadata: { labels: { app: "web" } },
        spec: { containers: [{ name: "web", image: "web" }] },
      },
    },
  };
  const service: Service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default" },
    spec: { selector: { app: "web" }, ports: [{ port: 80 }] },
  };
  const until = async (holds: (world: World) => boolean) => {
    if (holds(world.current())) return;
    for await (const next of world.changes(stop.signal)) if (holds(next)) return;
  };
  const placed = (now: World) => objectsOf<Pod>(now, "Pod").filter(({ spec }) => spec.nodeName);
  const ready = (now: World) =>
    objectsOf<EndpointSlice>(now, "EndpointSlice").flatMap(({ endpoints }) =>
      endpoints.filter(({ conditions }) => conditions?.ready),
    );

  for (const object of [node("n1"), node("n2"), deployment, service]) await objects.create(object);
  await until((now) => placed(now).length === 4);
  assert.equal(objectsOf<Pod>(world.current(), "Pod").length, 4, "none is made twice");
  const nodes = placed(world.current()).map(({ spec }) => spec.nodeName);
  assert.deepEqual(nodes.sort(), ["n1", "n1", "n2", "n2"]);

  for (const [index, pod] of placed(world.current()).entries()) {
    await objects.change(keyOf(pod), "status", (current) => ({
      ...(current ?? pod),
      status: {
        phase: "Running",
        podIP: `10.244.0.${index + 1}`,
        conditions: [{ type: "Ready", status: "True" }],
      },
    }));
  }
  await until((now) => ready(now).length === 4);

  const [first] = placed(world.current());
  assert.ok(first);
  await objects.delete(keyOf(first), { gracePeriodSeconds: 0 });
  await until(
    (now) =>
      placed(now).length === 4 &&
      !placed(now).some((pod) => pod.metadata.uid === first.metadata.uid),
  );

  await objects.delete(keyOf(deployment));
  await until((now) => objectsOf<Pod>(now, "Pod").every((pod) => pod.metadata.deletionTimestamp));
  for (const pod of objectsOf<Pod>(world.current(), "Pod")) {
    await objects.delete(keyOf(pod), { gracePeriodSeconds: 0 });
  }
  await objects.delete(keyOf(service));
  await until((now) => !now.objects.has("EndpointSlice") && !now.objects.has("Pod"));

  stop.abort();
  await Promise.all(running);
  await store.close();
  assert.deepEqual(refusals, []);
});

test("a controller tries again what was refused, with the World unchanged", async () => {
  const stop = new AbortController();
  const store = memoryStore();
  const addresses = await openServiceAddresses(store);
  const objects = openObjects({ store, addresses, now: Date.now, random: seededRandom(1) });
  const world = await openWorld(store, stop.signal);
  let rounds = 0;
  const stubborn = {
    name: "stubborn",
    reconcile: () => {
      if (++rounds === 3) stop.abort();
      const object = { apiVersion: "v1", kind: "Pod", metadata: { name: "bad" }, spec: {} };
      return { writes: [{ verb: "create", object } as const] };
    },
  };
  const log = createLog(() => {}, Date.now);
  await runController(
    stubborn,
    { world, objects, clock: wallClock, random: seededRandom(1), log },
    stop.signal,
  );
  assert.equal(rounds, 3);
  await store.close();
});
