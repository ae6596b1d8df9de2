/** Endpoints that are names, looked up at a name server that listens. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { serveNames } from "../../agent/dns/server.ts";
import { nameTable } from "../../core/dns/name-table.ts";
import type { Cluster } from "../../model/proxy-config.ts";
import { Harness, request } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, silentLog, virtualHost } from "../testing/mesh.ts";

const name = "api.shop.svc.cluster.local";

/** The node's name server, for which `name` has these addresses. */
async function nameServer(harness: Harness, ...addresses: readonly string[]) {
  const ports = [
    {
      name: "http",
      protocol: "TCP" as const,
      port: 80,
      endpoints: addresses.map((address) => ({ address, port: 80 })),
    },
  ];
  const services = [{ namespace: "shop", name: "api", ports }];
  const table = nameTable({ services, workloads: [] });
  const server = await serveNames({
    address: "127.0.0.1",
    port: 0,
    table: () => table,
    log: silentLog,
  });
  harness.atEnd(() => server[Symbol.asyncDispose]());
  return { address: "127.0.0.1", port: server.port };
}

async function callers(
  harness: Harness,
  discovery: Extract<Cluster["discovery"], { kind: "dns" }>,
  server: { readonly address: string; readonly port: number },
) {
  return harness.outbound(
    [virtualHost(["*"], [route(forward("api"))])],
    { clusters: [cluster("api", { discovery, balancer: { kind: "round-robin" } })] },
    { nameServer: server },
  );
}

describe("a cluster of names", () => {
  for (const [uses, expected] of [
    ["every", ["127.0.0.2", "127.0.0.3"]],
    ["first", ["127.0.0.2"]],
  ] as const) {
    test(`sends requests to ${uses} address of a name, from the first request on`, async () => {
      await using harness = new Harness();
      const app = createServer((incoming, response) => response.end(incoming.socket.localAddress));
      await once(app.listen(0, "0.0.0.0"), "listening");
      harness.atEnd(() => {
        app.close();
        app.closeAllConnections();
      });
      const { port } = app.address() as AddressInfo;
      const server = await nameServer(harness, "127.0.0.2", "127.0.0.3");
      const endpoints = [endpoint(port, { address: name })];
      const sidecar = await callers(harness, { kind: "dns", uses, endpoints }, server);
      const answers = [];
      for (let count = 0; count < 4; count++) answers.push(await request(sidecar.port));
      assert.deepEqual([...new Set(answers.map(({ body }) => body))].sort(), expected);
    });
  }

  test("refuses requests while its name leads nowhere, and takes addresses as they are", async () => {
    await using harness = new Harness();
    const port = await harness.app((_, response) => response.end());
    const server = await nameServer(harness, "127.0.0.2");
    const to = (address: string) => ({
      kind: "dns" as const,
      uses: "every" as const,
      endpoints: [endpoint(port, { address })],
    });
    const nobody = await callers(harness, to("absent.shop.svc.cluster.local"), server);
    assert.equal((await request(nobody.port)).status, 503);
    const somebody = await callers(harness, to("127.0.0.1"), server);
    assert.equal((await request(somebody.port)).status, 200);
  });
});
