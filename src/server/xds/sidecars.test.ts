/** From a changed object to a sidecar's snapshot: server, relay and client in one process, over real sockets. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { meshWorld, objectsIn, proxyOf } from "../../../test/worlds/mesh.ts";
import type { Resource } from "../../api/resource.ts";
import { walkOutbound } from "../../core/mesh/walk.ts";
import type { ProxyConfig, Secret } from "../../model/proxy-config.ts";
import type { ConfigSource, ProxySnapshot } from "../../proxy/config/source.ts";
import { createXdsSource } from "../../proxy/config/xds-source.ts";
import { type Relay, relayAds, type SecretSource } from "../../rpc/ads-relay.ts";
import { callMetadata } from "../../rpc/methods.ts";
import { renderText } from "../../telemetry/exposition.ts";
import {
  openTestbed,
  silentLog,
  type Testbed,
  TestWorld,
  testClock,
} from "./testbed.test-support.ts";

const shop = `
  pods:
    shop/web: {}
    shop/cart-v1: { labels: { app: cart, version: v1 } }
    shop/cart-v2: { labels: { app: cart, version: v2 } }
  services:
    shop/cart: { ports: { http: 80 } }
`;
const subsets = `
kind: DestinationRule
metadata: { name: cart }
spec: { host: cart, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
`;

function virtualService(subset: string): Resource {
  const [object] = objectsIn(
    `kind: VirtualService
metadata: { name: cart }
spec: { hosts: [cart], http: [{ route: [{ destination: { host: cart, subset: ${subset} } }] }] }`,
    "shop",
  );
  assert.ok(object);
  return object;
}

class Secrets implements SecretSource {
  #secrets: readonly Secret[] = [];
  #wake: (() => void)[] = [];

  current(): readonly Secret[] {
    return this.#secrets;
  }

  put(generation: string): void {
    this.#secrets = [
      { kind: "certificate", name: "default", chain: `chain ${generation}`, key: "key" },
      { kind: "validation", name: "ROOTCA", roots: "roots" },
    ];
    for (const wake of this.#wake.splice(0)) wake();
  }

  async *changes(signal: AbortSignal): AsyncGenerator<readonly Secret[]> {
    let seen = this.#secrets;
    while (!signal.aborted) {
      if (seen === this.#secrets) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
        await promise;
        continue;
      }
      seen = this.#secrets;
      yield seen;
    }
  }
}

interface Sidecar {
  readonly source: ConfigSource;
  readonly secrets: Secrets;
  readonly relay: Relay;
  next(): Promise<ProxySnapshot>;
}

function worldFrom(...documents: readonly string[]): TestWorld {
  const world = new TestWorld();
  const objects = [...meshWorld(shop, ...documents).objects.values()].flatMap((kind) => [
    ...kind.values(),
  ]);
  world.put(...objects);
  return world;
}

/** The sidecar of pod `shop/<name>` on node-1, behind its relay. */
async function sidecar(
  bed: Testbed,
  name: string,
  signal: AbortSignal,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Sidecar> {
  const socket = join(bed.directory, `${name}.sock`);
  const secrets = new Secrets();
  secrets.put("1");
  const relay = await relayAds({
    listenSocket: socket,
    upstream: { target: bed.target, token: "token-node-1", roots: bed.rootPem },
    metadata: {
      [callMetadata.pod]: `shop/${name}`,
      [callMetadata.podUid]: `uid-${name}`,
      ...metadata,
    },
    sds: secrets,
    log: silentLog,
  });
  const source = createXdsSource({
    socket,
    node: proxyOf(bed.world.current(), `shop/${name}`),
    clock: testClock,
    random: Math.random,
    log: silentLog,
  });
  const iterator = source.snapshots(signal)[Symbol.asyncIterator]();
  return {
    source,
    secrets,
    relay,
    next: async () => {
      const { value, done } = await iterator.next();
      assert.ok(done !== true, "the snapshots ended");
      return value;
    },
  };
}

function target(config: ProxyConfig): string | undefined {
  const request = { address: "10.96.0.1", port: 80, http: { host: "cart" } };
  return walkOutbound(config, request).destinations[0]?.cluster;
}

const v1 = "outbound|80|v1|cart.shop.svc.cluster.local";
const v2 = "outbound|80|v2|cart.shop.svc.cluster.local";

describe("a sidecar's configuration", { timeout: 300_000 }, () => {
  test("comes whole with its secrets, and follows a changed route", async (t) => {
    await using bed = await openTestbed(worldFrom(subsets));
    bed.world.put(virtualService("v1"));
    const web = await sidecar(bed, "web", t.signal);
    const first = await web.next();
    assert.equal(target(first.config), v1);
    assert.deepEqual(
      first.secrets.map(({ name }) => name),
      ["ROOTCA", "default"],
    );
    web.source.accept(first.version);
    const version = bed.world.put(virtualService("v2"));
    const second = await web.next();
    assert.equal(target(second.config), v2);
    web.source.accept(second.version);
    const [status] = await bed.server.waitForVersion(version, t.signal);
    assert.equal(status?.acked, version);
    assert.equal(status?.node, "node-1");
    await web.relay.close();
  });

  test("follows a delegate that comes, changes and goes, and keeps the routes of other ports", async (t) => {
    const rooted = (name: string, port: string, spec: string): string => `
kind: VirtualService
metadata: { name: ${name} }
spec: { ${spec}, http: [{ ${port} } ] }`;
    const other =
      "kind: Service\nmetadata: { name: other }\nspec: { ports: [{ name: http, port: 81 }] }";
    const delegating = rooted("cart", "delegate: { name: team }", "hosts: [cart]");
    await using bed = await openTestbed(worldFrom(subsets, other, delegating));
    const web = await sidecar(bed, "web", t.signal);
    const delegate = (subset: string): readonly Resource[] =>
      objectsIn(
        rooted("team", `route: [{ destination: { host: cart, subset: ${subset} } }]`, "hosts: []"),
        "shop",
      );
    const routesOf = ({ config }: ProxySnapshot, name: string) =>
      config.routes.find((route) => route.name === name);
    const first = await web.next();
    assert.equal(target(first.config), "outbound|80||cart.shop.svc.cluster.local");
    assert.ok(routesOf(first, "81"));
    let last = first;
    for (const [change, wanted] of [
      [() => bed.world.put(...delegate("v1")), v1],
      [() => bed.world.put(...delegate("v2")), v2],
      [() => bed.world.remove(...delegate("v2")), "outbound|80||cart.shop.svc.cluster.local"],
    ] as const) {
      web.source.accept(last.version);
      change();
      last = await web.next();
      assert.equal(target(last.config), wanted);
      assert.equal(routesOf(last, "81"), routesOf(first, "81"), "it was not sent again");
    }
    web.source.accept(last.version);
    await web.relay.close();
  });

  test("never shows a route without its cluster, however fast worlds change", async (t) => {
    await using bed = await openTestbed(worldFrom(subsets));
    const web = await sidecar(bed, "web", t.signal);
    const last = 60;
    let change = 0;
    let seen = 0;
    for (;;) {
      // Each world moves the route to a subset of its own, and makes or removes it in the same world.
      while (change < last && change <= seen * 3) {
        change++;
        const name = `s${change}`;
        const [rule] = objectsIn(subsets.replaceAll("v2", name), "shop");
        assert.ok(rule);
        bed.world.put(rule, virtualService(name));
        await testClock.sleep(0);
      }
      const { config, version } = await web.next();
      seen++;
      for (const route of config.routes.flatMap(({ virtualHosts }) => virtualHosts)) {
        for (const { action } of route.routes) {
          for (const { cluster } of action.kind === "forward" ? action.clusters : []) {
            assert.ok(
              config.clusters.some(({ name }) => name === cluster),
              `${cluster} is missing`,
            );
          }
        }
      }
      web.source.accept(version);
      if (change === last && target(config)?.includes(`|s${last}|`) === true) break;
    }
    await web.relay.close();
  });

  test("is reported refused with the proxy's words, and the next one is taken", async (t) => {
    await using bed = await openTestbed(worldFrom(subsets));
    const web = await sidecar(bed, "web", t.signal);
    const first = await web.next();
    web.source.accept(first.version);
    const bad = bed.world.put(virtualService("v1"));
    web.source.reject((await web.next()).version, "route cart: no such thing");
    const [refused] = await bed.server.waitForVersion(bad, t.signal);
    assert.deepEqual(refused?.rejected, { version: bad, error: "route cart: no such thing" });
    const good = bed.world.put(virtualService("v2"));
    web.source.accept((await web.next()).version);
    const [taken] = await bed.server.waitForVersion(good, t.signal);
    assert.equal(taken?.rejected, undefined);
    assert.equal(taken?.acked, good);
    await web.relay.close();
  });

  test("is counted by Istio's names: what was sent, refused, and how long it took", async (t) => {
    await using bed = await openTestbed(worldFrom(subsets));
    const web = await sidecar(bed, "web", t.signal);
    web.source.accept((await web.next()).version);
    const bad = bed.world.put(virtualService("v1"));
    web.source.reject((await web.next()).version, "no such thing");
    await bed.server.waitForVersion(bad, t.signal);
    const text = renderText(bed.metrics.registry);
    for (const counted of [
      /^pilot_xds 1$/m,
      /^heddle_server_agents 0$/m,
      /^pilot_xds_pushes\{type="rds"\} [1-9]/m,
      /^pilot_xds_pushes\{type="sds"\} \d/m,
      /^pilot_xds_config_size_bytes_count\{type="lds"\} [1-9]/m,
      /^pilot_total_xds_rejects\{type="snapshot"\} 1$/m,
      /^pilot_proxy_convergence_time_count [1-9]/m,
      /^pilot_total_xds_internal_errors 0$/m,
    ]) {
      assert.match(text, counted);
    }
    await web.relay.close();
  });

  test("follows a node that moves to another zone, where nearness counts", async (t) => {
    const node = (name: string, zone: string): Resource => ({
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name,
        labels: { "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": zone },
      },
    });
    const ejecting = subsets.replace(
      "subsets:",
      "trafficPolicy: { outlierDetection: {} }, subsets:",
    );
    const objects = meshWorld(shop.replace("v2 } }", "v2 }, node: node-2 }"), ejecting).objects;
    const world = new TestWorld();
    world.put(...[...objects.values()].flatMap((kind) => [...kind.values()]));
    world.put(node("node-1", "a"), node("node-2", "b"));
    await using bed = await openTestbed(world);
    const web = await sidecar(bed, "web", t.signal);
    const priorities = ({ config }: ProxySnapshot) =>
      config.endpoints
        .find(({ cluster }) => cluster === "outbound|80||cart.shop.svc.cluster.local")
        ?.endpoints.map(({ priority = 0 }) => priority);
    const first = await web.next();
    assert.deepEqual(priorities(first), [0, 1]);
    web.source.accept(first.version);
    bed.world.put(node("node-2", "a"));
    const second = await web.next();
    assert.deepEqual(priorities(second), [0, 0]);
    web.source.accept(second.version);
    await web.relay.close();
  });

  test("stands when the server dies, is asked for by version when it is back, and is not handed out twice", async (t) => {
    await using bed = await openTestbed(worldFrom(subsets));
    const web = await sidecar(bed, "web", t.signal);
    web.source.accept((await web.next()).version);
    await bed.restart();
    while (bed.server.status()[0]?.acked === undefined) await testClock.sleep(5, t.signal);
    const version = bed.world.put(virtualService("v2"));
    const snapshot = await web.next();
    assert.equal(snapshot.version, `${version}`);
    await web.relay.close();
  });

  test("comes again with renewed secrets, and keeps answering for its own version", async (t) => {
    await using bed = await openTestbed(worldFrom());
    const web = await sidecar(bed, "web", t.signal);
    const first = await web.next();
    web.source.accept(first.version);
    web.secrets.put("2");
    const renewed = await web.next();
    assert.notEqual(renewed.version, first.version);
    assert.ok(renewed.secrets.some((one) => one.kind === "certificate" && one.chain === "chain 2"));
    assert.deepEqual(renewed.config, first.config);
    web.source.accept(renewed.version);
    const version = bed.world.put(virtualService("v9"));
    web.source.accept((await web.next()).version);
    const [status] = await bed.server.waitForVersion(version, t.signal);
    assert.equal(status?.acked, version);
    assert.deepEqual(
      status?.notes?.map(({ code }) => code),
      ["HEDDLE0102"],
      "the status says what is wrong with the route",
    );
    await web.relay.close();
  });

  test("waits for secrets before anything is handed out", async (t) => {
    await using bed = await openTestbed(worldFrom());
    const socket = join(bed.directory, "late.sock");
    const secrets = new Secrets();
    const relay = await relayAds({
      listenSocket: socket,
      upstream: { target: bed.target, token: "token-node-1", roots: bed.rootPem },
      metadata: { [callMetadata.pod]: "shop/web", [callMetadata.podUid]: "uid-web" },
      sds: secrets,
      log: silentLog,
    });
    const node = proxyOf(bed.world.current(), "shop/web");
    const source = createXdsSource({
      socket,
      node,
      clock: testClock,
      random: Math.random,
      log: silentLog,
    });
    const iterator = source.snapshots(t.signal)[Symbol.asyncIterator]();
    const first = iterator.next();
    while (bed.server.status()[0]?.sent === undefined && bed.server.status().length === 0) {
      await testClock.sleep(5, t.signal);
    }
    secrets.put("1");
    assert.equal((await first).value?.secrets.length, 2);
    await relay.close();
  });

  test("is refused to a relay that speaks for another pod, or another node's", async (t) => {
    await using bed = await openTestbed(worldFrom());
    const stop = new AbortController();
    const signal = AbortSignal.any([t.signal, stop.signal]);
    const other = { [callMetadata.pod]: "shop/cart-v1", [callMetadata.podUid]: "uid-cart-v1" };
    const web = await sidecar(bed, "web", signal, other);
    const pending = web.next();
    await testClock.sleep(200, t.signal); // several attempts
    assert.deepEqual(bed.server.status(), []);
    stop.abort();
    await assert.rejects(pending);
    await web.relay.close();
  });

  test("is in a hundred sidecars soon after a change", async (t) => {
    const count = 100;
    const world = new TestWorld();
    const pods = Array.from({ length: count }, (_, index) => `    shop/pod-${index}: {}`).join(
      "\n",
    );
    const text = shop.replace("    shop/web: {}", pods);
    world.put(
      ...[...meshWorld(text, subsets).objects.values()].flatMap((kind) => [...kind.values()]),
    );
    await using bed = await openTestbed(world);
    const all = await Promise.all(
      Array.from({ length: count }, (_, index) => sidecar(bed, `pod-${index}`, t.signal)),
    );
    const following = all.map(async ({ source, next }) => {
      for (;;) {
        const { config, version } = await next();
        source.accept(version);
        if (target(config) === v2) return;
      }
    });
    await bed.server.waitForVersion(bed.world.current().version, t.signal);
    while (bed.server.status().length < count) await testClock.sleep(5, t.signal);
    await bed.server.waitForVersion(bed.world.current().version, t.signal);
    const started = performance.now();
    const version = bed.world.put(virtualService("v2"));
    await bed.server.waitForVersion(version, t.signal);
    t.diagnostic(
      `change in force at ${count} sidecars after ${Math.round(performance.now() - started)} ms`,
    );
    await Promise.all(following);
    for (const { relay } of all) await relay.close();
  });
});
