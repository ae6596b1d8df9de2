/** A sidecar driven by go-control-plane, the library that most control planes for Envoy are made of. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { Harness, request } from "../../src/proxy/testing/harness.ts";
import { webCertificate } from "../../src/proxy/testing/web-certificate.ts";
import {
  comesToSay,
  type Following,
  follow,
  nameShown,
  nodeId,
  socketOf,
} from "./envoy/following.ts";
import { GoControlPlane, program } from "./envoy/go-control-plane.ts";
import {
  buffer,
  cluster,
  endpoints,
  listener,
  router,
  routesTo,
  secret,
  secured,
} from "./envoy/messages.ts";

interface Scene extends Following {
  readonly server: GoControlPlane;
  /** Ports of applications that answer their name. */
  readonly one: number;
  readonly two: number;
}

async function scene(harness: Harness): Promise<Scene> {
  const one = await harness.app((_, res) => res.end("one"));
  const two = await harness.app((_, res) => res.end("two"));
  const socket = socketOf(harness);
  const server = new GoControlPlane(socket, nodeId);
  server.start();
  harness.atEnd(() => server.stop());
  return { server, one, two, ...follow(harness, socket) };
}

/** What is sent comes to be this, in any order. */
async function sends(server: GoControlPlane, wanted: readonly string[]): Promise<void> {
  assert.deepEqual(await server.sent(wanted.length), wanted);
}

const skip = existsSync(program) ? false : "needs build/tools/go-control-plane (npm run setup)";

describe("a sidecar of go-control-plane", { timeout: 300_000, skip }, () => {
  test("is not sent keys and endpoints that it does not refer to", async () => {
    await using harness = new Harness();
    const { server, sidecar, ready, one } = await scene(harness);
    server.set({
      cluster: [cluster("one", "behind-one"), cluster("unused")],
      endpoints: ["behind-one", "unused", "stray"].map((name) => endpoints(name, one)),
      listener: [secured(listener("routes"), "front"), listener("routes", {}, "plain")],
      route: [routesTo("one"), routesTo("one", "stray")],
      secret: [
        secret("front", webCertificate("a.example")),
        secret("stray", webCertificate("stray.example")),
      ],
    });
    await ready;
    assert.equal(await nameShown(sidecar.portOf("front") ?? 0), "DNS:a.example");
    assert.equal((await request(sidecar.portOf("plain") ?? 0)).body, "one");
    await sends(server, [
      "Cluster one",
      "Cluster unused",
      "ClusterLoadAssignment behind-one",
      "ClusterLoadAssignment unused",
      "Listener front",
      "Listener plain",
      "RouteConfiguration routes",
      "Secret front",
    ]);
  });

  test("loses no request to a snapshot that adds, changes and removes at once", async () => {
    await using harness = new Harness();
    const { server, sidecar, ready, one, two } = await scene(harness);
    const front = secured(listener("routes"), "front");
    const plain = listener("routes", {}, "plain");
    server.set({
      cluster: [cluster("one"), cluster("kept")],
      endpoints: [endpoints("one", one), endpoints("kept", one)],
      listener: [front, plain],
      route: [routesTo("one")],
      secret: [secret("front", webCertificate("a.example"))],
    });
    await ready;
    await sends(server, [
      "Cluster kept",
      "Cluster one",
      "ClusterLoadAssignment kept",
      "ClusterLoadAssignment one",
      "Listener front",
      "Listener plain",
      "RouteConfiguration routes",
      "Secret front",
    ]);
    const port = sidecar.portOf("plain") ?? 0;
    const seen = new Set<string>();
    let isMoving = true;
    const asking = (async () => {
      while (isMoving) {
        const { status, body } = await request(port);
        seen.add(`${status} ${body}`);
      }
    })();
    server.set({
      cluster: [cluster("kept"), cluster("two")],
      endpoints: [endpoints("kept", one), endpoints("two", two)],
      listener: [front, plain, listener("routes", {}, "another")],
      route: [routesTo("two")],
      secret: [secret("front", webCertificate("b.example"))],
    });
    await comesToSay(sidecar, "200 two", "another");
    await comesToSay(sidecar, "200 two", "plain");
    while ((await nameShown(sidecar.portOf("front") ?? 0)) !== "DNS:b.example");
    isMoving = false;
    await asking;
    assert.deepEqual(
      [...seen].filter((each) => !/^200 (one|two)$/.test(each)),
      [],
    );
    assert.deepEqual([...sidecar.tables.clusters.keys()], ["kept", "two"]);
    await sends(server, [
      "Cluster -one",
      "Cluster two",
      "ClusterLoadAssignment -one",
      "ClusterLoadAssignment two",
      "Listener another",
      "RouteConfiguration routes",
      "Secret front",
    ]);
  });

  test("refuses what it cannot run, and goes on with all else of the snapshot", async () => {
    await using harness = new Harness();
    const { server, sidecar, ready, one, two } = await scene(harness);
    const shared = { endpoints: [endpoints("one", one), endpoints("two", two)] };
    server.set({
      ...shared,
      cluster: [cluster("one"), cluster("two")],
      listener: [listener("routes")],
      route: [routesTo("one")],
    });
    await ready;
    server.set({
      ...shared,
      cluster: [{ ...cluster("one"), connect_timeout: "0s" }, cluster("two")],
      listener: [
        listener("routes", { http_filters: [buffer, router] }),
        listener("routes", {}, "second"),
      ],
      route: [routesTo("two")],
    });
    await comesToSay(sidecar, "200 two", "second");
    await comesToSay(sidecar, "200 two");
    const refused = (type: string) =>
      server.seen((event) => event.type === type && event.error !== undefined);
    assert.match((await refused("Cluster")).error ?? "", /one: connectTimeoutMs/);
    assert.match((await refused("Listener")).error ?? "", /front.*http_filters\[0\].*buffer/);
    server.set({
      ...shared,
      cluster: [cluster("one"), cluster("two")],
      listener: [listener("others"), listener("routes", {}, "second")],
      route: [routesTo("one"), routesTo("one", "others")],
    });
    await comesToSay(sidecar, "200 one");
    await comesToSay(sidecar, "200 one", "second");
  });

  test("serves while its server is gone, and is sent what differs when it is back", async () => {
    await using harness = new Harness();
    const { server, sidecar, ready, one, two } = await scene(harness);
    const shared = { listener: [listener("routes")], route: [routesTo("one")] };
    server.set({
      ...shared,
      cluster: [cluster("one"), cluster("gone")],
      endpoints: [endpoints("one", one), endpoints("gone", one)],
    });
    await ready;
    await server.stop();
    assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "one");
    server.events.length = 0;
    server.start();
    server.set({ ...shared, cluster: [cluster("one")], endpoints: [endpoints("one", two)] });
    await comesToSay(sidecar, "200 two");
    assert.deepEqual([...sidecar.tables.clusters.keys()], ["one"]);
    const first = (type: string) => server.seen((event) => event.type === type);
    assert.deepEqual((await first("Cluster")).known, ["gone", "one"]);
    assert.deepEqual((await first("RouteConfiguration")).known, ["routes"]);
    await sends(server, [
      "Cluster -gone",
      "ClusterLoadAssignment -gone",
      "ClusterLoadAssignment one",
    ]);
  });

  test("waits for what it has named until the server has it", async () => {
    await using harness = new Harness();
    const { server, sidecar, ready, one } = await scene(harness);
    const early = { cluster: [cluster("one")], listener: [listener("routes")] };
    server.set(early);
    await server.seen(({ subscribe }) => subscribe?.includes("one") === true);
    server.set({ ...early, endpoints: [endpoints("one", one)] });
    await server.seen(({ subscribe }) => subscribe?.includes("routes") === true);
    server.set({ ...early, endpoints: [endpoints("one", one)], route: [routesTo("one")] });
    await ready;
    assert.equal((await request(sidecar.portOf("front") ?? 0)).body, "one");
  });
});
