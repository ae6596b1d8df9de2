import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { compileFor, meshWorld } from "../../test/worlds/mesh.ts";
import type { Resource } from "../api/resource.ts";
import { seededRandom } from "../base/random.ts";
import { memoryStore } from "../store/memory.ts";
import { sqliteStore } from "../store/sqlite.ts";
import { keyOf, openObjects } from "./api/objects.ts";
import { openServiceAddresses } from "./api/service-addresses.ts";
import { createFirstObjects } from "./first-objects.ts";
import { openWorld } from "./world.ts";

const shop = `
pods: { shop/web: {}, shop/cart: {} }
services: { shop/cart: { ports: { http: 8080 } } }
`;
const route = [{ destination: { host: "cart", subset: null }, headers: null }];
const rules = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "cart", namespace: "shop", labels: null },
  spec: { hosts: ["cart"], gateways: null, http: [{ match: null, timeout: null, route }] },
} as unknown as Resource;

test("a rule that an earlier version stored with nulls froze the configuration of every sidecar", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-nulls-"));
  const file = join(folder, "store.db");
  // The store writes what it is given: what the API gave it then.
  const then = sqliteStore(file);
  for (const kind of meshWorld(shop).objects.values()) {
    for (const object of kind.values()) await then.create(object);
  }
  await then.create(rules);
  await then.close();

  const now = sqliteStore(file);
  const stop = new AbortController();
  t.after(async () => {
    stop.abort();
    await now.close();
    rmSync(folder, { recursive: true });
  });
  const world = await openWorld(now, stop.signal);
  const { value } = compileFor(world.current(), "shop/web");
  const host = value.routes[0]?.virtualHosts.find(({ name }) => name.startsWith("cart."));
  assert.equal(host?.routes[0]?.origin, "shop/cart");

  const stored = await now.get(keyOf(rules));
  assert.deepEqual((stored as { spec?: unknown } | undefined)?.spec, await writtenToday());
  for await (const { object } of now.watch(0, stop.signal)) {
    assert.doesNotMatch(JSON.stringify(object), /null/);
    if (object.kind === "VirtualService") break;
  }
});

/** What is stored of the same rules when they are written now. */
async function writtenToday(): Promise<unknown> {
  const store = memoryStore();
  const addresses = await openServiceAddresses(store);
  const objects = openObjects({ store, addresses, now: () => 0, random: seededRandom(1) });
  await createFirstObjects(objects);
  await objects.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
  const { object } = await objects.create(rules);
  return (object as { spec?: unknown }).spec;
}

test("a status that was written with nulls has none of them", async () => {
  const store = memoryStore();
  const addresses = await openServiceAddresses(store);
  const objects = openObjects({ store, addresses, now: () => 0, random: seededRandom(1) });
  await createFirstObjects(objects);
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web", namespace: "default" },
    spec: { containers: [{ name: "app", image: "app" }] },
  };
  await objects.create(pod);
  const status = { phase: "Running", podIP: null, conditions: [{ type: "Ready", reason: null }] };
  const { object } = await objects.update({ ...pod, status } as Resource, "status");
  assert.deepEqual((object as { status?: unknown }).status, {
    phase: "Running",
    conditions: [{ type: "Ready" }],
  });
});
