/** A sidecar driven by a control plane that has never heard of Heddle. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Clock } from "../../src/base/clock.ts";
import { systemClock } from "../../src/cli/system-clock.ts";
import { Harness, request } from "../../src/proxy/testing/harness.ts";
import { webCertificate } from "../../src/proxy/testing/web-certificate.ts";
import { comesToSay, type Following, follow, nameShown, socketOf } from "./envoy/following.ts";
import { ForeignControlPlane } from "./envoy/foreign-control-plane.ts";
import {
  buffer,
  cluster,
  endpoints,
  listener,
  router,
  routesTo,
  secret,
  secured,
  types,
} from "./envoy/messages.ts";

interface Scene extends Following {
  readonly server: ForeignControlPlane;
  readonly socket: string;
}

/** For what is waited for in vain. */
const impatient: Clock = {
  now: Date.now,
  sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
};

async function scene(harness: Harness, clock?: Clock): Promise<Scene> {
  const socket = socketOf(harness);
  const server = new ForeignControlPlane();
  await server.listen(socket);
  harness.atEnd(() => server[Symbol.asyncDispose]());
  return { server, socket, ...follow(harness, socket, clock) };
}

describe("a sidecar of a control plane that is not Heddle's", { timeout: 300_000 }, () => {
  test("is ready although nothing marks the end of a round, and asks by name for what is referred to", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("app"));
    const { server, sidecar, ready } = await scene(harness);
    server.set(types.cluster, cluster("one", "behind-one"));
    server.set(types.endpoints, endpoints("behind-one", app));
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("one"));
    await ready;
    assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "app");
    const byName = server.asked.filter((each) => !each.includes("ROOTCA"));
    assert.deepEqual(byName.sort(), [
      "ClusterLoadAssignment behind-one",
      "RouteConfiguration routes",
    ]);
  });

  test("refuses a resource by itself, says why, and goes on with the one before and all the others", async () => {
    await using harness = new Harness();
    const one = await harness.app((_, res) => res.end("one"));
    const two = await harness.app((_, res) => res.end("two"));
    const { server, sidecar, ready } = await scene(harness);
    server.set(types.cluster, cluster("one"), cluster("two"));
    server.set(types.endpoints, endpoints("one", one), endpoints("two", two));
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("one"));
    await ready;
    const refused = listener("routes", { http_filters: [buffer, router] });
    server.set(types.listener, refused, listener("other", {}, "second"));
    server.set(types.route, routesTo("two"), routesTo("one", "other"));
    await comesToSay(sidecar, "200 two");
    await comesToSay(sidecar, "200 one", "second");
    const [problem] = server.answers.filter((each) => each.startsWith("nack"));
    assert.match(problem ?? "", /^nack Listener: .*Listener front.*http_filters\[0\].*buffer/);
    server.set(types.listener, listener("other"));
    await comesToSay(sidecar, "200 one");
  });

  test("refuses endpoints at a port or an address that is none, which ended the process with the next request", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("app"));
    const { server, sidecar, ready } = await scene(harness);
    server.set(types.cluster, cluster("one"));
    server.set(types.endpoints, endpoints("one", app));
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("one"));
    await ready;
    const named = endpoints("one", app, "somewhere.test");
    for (const bad of [endpoints("one", 70_000), named]) {
      server.answers.length = 0;
      server.set(types.endpoints, bad);
      const nack = () => server.answers.find((each) => each.startsWith("nack"));
      await server.until(() => nack() !== undefined);
      assert.match(nack() ?? "", /^nack ClusterLoadAssignment: .*(70000|somewhere)/);
      assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "app");
    }
  });

  test("passes over a filter that it does not know where that is optional", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("app"));
    const { server, sidecar, ready } = await scene(harness);
    const optional = { ...buffer, is_optional: true };
    server.set(types.cluster, cluster("one"));
    server.set(types.endpoints, endpoints("one", app));
    server.set(types.listener, listener("routes", { http_filters: [optional, router] }));
    server.set(types.route, routesTo("one"));
    await ready;
    assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "app");
  });

  test("says what keeps a listener from opening with the answer that made the picture whole", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("app"));
    const { server, sidecar, ready } = await scene(harness);
    server.set(types.cluster, cluster("one"));
    server.set(types.endpoints, endpoints("one", app));
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("one"));
    await ready;
    const taken = { socket_address: { address: "127.0.0.1", port_value: app } };
    server.set(types.listener, { ...listener("routes", {}, "second"), address: taken });
    await server.until(() => server.answers.some((each) => each.startsWith("nack Listener")));
    assert.match(server.answers.join("\n"), /nack Listener: .*EADDRINUSE/s);
    assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "app");
    server.remove(types.listener, "second");
    server.set(types.listener, listener("routes", {}, "third"));
    await comesToSay(sidecar, "200 app", "third");
  });

  test("has endpoints that stand in their cluster", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("app"));
    const { server, sidecar, ready } = await scene(harness);
    const fixed = { name: "one", type: "STATIC", load_assignment: endpoints("one", app) };
    server.set(types.cluster, fixed);
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("one"));
    await ready;
    assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "app");
  });

  test("moves to a cluster when that has its endpoints, and lets go of what nothing refers to", async () => {
    await using harness = new Harness();
    const one = await harness.app((_, res) => res.end("one"));
    const two = await harness.app((_, res) => res.end("two"));
    const { server, sidecar, ready } = await scene(harness);
    server.set(types.cluster, cluster("one"));
    server.set(types.endpoints, endpoints("one", one));
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("one"));
    await ready;
    const port = sidecar.portOf("front") ?? 0;
    const seen = new Set<string>();
    let isMoving = true;
    await comesToSay(sidecar, "200 one");
    const asking = (async () => {
      while (isMoving) {
        const { status, body } = await request(port);
        seen.add(`${status} ${body}`);
      }
    })();
    server.set(types.cluster, cluster("two"));
    server.set(types.route, routesTo("two"));
    await server.until(() => server.asked.includes("ClusterLoadAssignment two"));
    server.set(types.endpoints, endpoints("two", two));
    await comesToSay(sidecar, "200 two");
    server.remove(types.cluster, "one");
    await server.until(() => server.asked.includes("ClusterLoadAssignment -one"));
    isMoving = false;
    await asking;
    assert.deepEqual(
      [...seen].filter((each) => !/^200 (one|two)$/.test(each)),
      [],
    );
    assert.deepEqual([...sidecar.tables.clusters.keys()], ["two"]);
  });

  test("answers 404 and 503 for what the server never sends, once it has waited long enough", async () => {
    await using harness = new Harness();
    const { server, sidecar, ready } = await scene(harness, impatient);
    server.set(types.cluster, cluster("one"));
    server.set(types.listener, listener("routes"), listener("absent", {}, "second"));
    server.set(types.route, routesTo("one"));
    await ready;
    assert.equal((await request(sidecar.portOf("front") ?? 0)).status, 503);
    assert.equal((await request(sidecar.portOf("second") ?? 0)).status, 404);
    const app = await harness.app((_, res) => res.end("app"));
    server.set(types.endpoints, endpoints("one", app));
    await comesToSay(sidecar, "200 app");
  });

  test("serves while its server is gone, and takes what has changed when it is back", async () => {
    await using harness = new Harness();
    const one = await harness.app((_, res) => res.end("one"));
    const two = await harness.app((_, res) => res.end("two"));
    const { server, sidecar, socket, ready } = await scene(harness);
    server.set(types.cluster, cluster("one"), cluster("gone"));
    server.set(types.endpoints, endpoints("one", one), endpoints("gone", one));
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("one"));
    await ready;
    server.stop();
    assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "one");
    server.remove(types.cluster, "gone");
    server.set(types.endpoints, endpoints("one", two));
    await server.listen(socket);
    await comesToSay(sidecar, "200 two");
    assert.deepEqual([...sidecar.tables.clusters.keys()], ["one"]);
  });

  test("shows a certificate that came by name, and its successor", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("app"));
    const [first, second] = [webCertificate("a.example"), webCertificate("b.example")];
    const { server, sidecar, ready } = await scene(harness);
    server.set(types.cluster, cluster("one"));
    server.set(types.endpoints, endpoints("one", app));
    server.set(types.route, routesTo("one"));
    server.set(types.secret, secret("front-cert", first));
    server.set(types.listener, secured(listener("routes"), "front-cert"));
    await ready;
    const port = sidecar.portOf("front") ?? 0;
    assert.equal(await nameShown(port), "DNS:a.example");
    server.set(types.secret, secret("front-cert", second));
    while ((await nameShown(port)) !== "DNS:b.example");
  });

  for (const [lie, resource] of [
    ["is of another type", { "@type": `type.googleapis.com/${types.secret}`, name: "lie" }],
    [
      "calls itself otherwise",
      { "@type": `type.googleapis.com/${types.cluster}`, ...cluster("one") },
    ],
    ["has no content", undefined],
  ] as const) {
    test(`goes on with all others beside a resource that ${lie}`, async () => {
      await using harness = new Harness();
      const one = await harness.app((_, res) => res.end("one"));
      const two = await harness.app((_, res) => res.end("two"));
      const { server, sidecar, ready } = await scene(harness);
      server.set(types.cluster, cluster("one"));
      server.set(types.endpoints, endpoints("one", one));
      server.set(types.listener, listener("routes"));
      server.set(types.route, routesTo("one"));
      await ready;
      server.say(types.cluster, { name: "lie", version: "1", ...(resource && { resource }) });
      await server.until(() => server.answers.some((each) => each.startsWith("nack Cluster: ")));
      assert.match(server.answers.join("\n"), /nack Cluster: .*lie/);
      server.set(types.endpoints, endpoints("one", two));
      await comesToSay(sidecar, "200 two");
      server.set(types.cluster, cluster("other"));
      server.set(types.endpoints, endpoints("other", one));
      server.set(types.route, routesTo("other"));
      await comesToSay(sidecar, "200 one");
    });
  }

  test("goes on with all others beside a cluster that could not be run", async () => {
    await using harness = new Harness();
    const one = await harness.app((_, res) => res.end("one"));
    const two = await harness.app((_, res) => res.end("two"));
    const { server, sidecar, ready } = await scene(harness);
    server.set(types.cluster, cluster("one"));
    server.set(types.endpoints, endpoints("one", one));
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("one"));
    await ready;
    server.set(types.cluster, { ...cluster("broken"), connect_timeout: { seconds: 0 } });
    server.set(types.endpoints, endpoints("one", two));
    await comesToSay(sidecar, "200 two");
    assert.match(server.answers.join("\n"), /nack Cluster: .*broken: connectTimeoutMs/);
  });

  test("takes five thousand clusters in one answer", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("app"));
    const { server, sidecar, ready } = await scene(harness);
    const names = Array.from({ length: 5_000 }, (_, index) => `service-${index}`);
    server.set(types.cluster, ...names.map((name) => cluster(name)));
    server.set(types.endpoints, ...names.map((name) => endpoints(name, app)));
    server.set(types.listener, listener("routes"));
    server.set(types.route, routesTo("service-4999"));
    await ready;
    assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "app");
    assert.equal(sidecar.tables.clusters.size, 5_000);
  });
});
