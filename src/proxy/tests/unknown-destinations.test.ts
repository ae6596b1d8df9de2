/** What becomes of requests and connections to destinations that nobody declared, and how they are counted. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import type { FilterChain } from "../../model/proxy-config.ts";
import { Harness, metric, request } from "../testing/harness.ts";
import { cluster, endpoint, route, virtual, virtualHost } from "../testing/mesh.ts";

const blackHole = cluster("BlackHoleCluster", { discovery: { kind: "none" } });
const counted = { destination_service_name: "BlackHoleCluster", reporter: "source" };

function tcpChain(to: string, destinations?: readonly string[]): FilterChain {
  return {
    name: to,
    match: destinations === undefined ? {} : { destinations },
    rbac: [],
    filter: { kind: "tcp", statPrefix: to, clusters: [{ cluster: to, weight: 1 }] },
  };
}

/** What the other side says before the connection ends, in whatever way. */
function greeting(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("data", (bytes) => {
      text += bytes;
    });
    socket.on("error", () => {});
    socket.once("close", () => resolve(text));
  });
}

describe("where only declared destinations may be called", () => {
  test("HTTP to others is answered with 502 and counted as the black hole", async () => {
    await using harness = new Harness();
    const blockAll = route({ kind: "respond", status: 502, body: "" }, { name: "block_all" });
    const { sidecar, port } = await harness.outbound([virtualHost(["*"], [blockAll])], {
      clusters: [blackHole],
    });
    assert.equal((await request(port)).status, 502);
    const labels = { ...counted, response_code: "502" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
  });

  test("other connections are closed and counted as the black hole", async () => {
    await using harness = new Harness();
    const sidecar = await harness.sidecar(
      { destination: () => ({ address: "203.0.113.9", port: 9_000 }) },
      {
        listeners: [virtual("virtualOutbound", "outbound", [], tcpChain("BlackHoleCluster"))],
        clusters: [blackHole],
      },
    );
    assert.equal(await greeting(sidecar.portOf("virtualOutbound") ?? 0), "");
    const labels = { ...counted, response_flags: "UH" };
    assert.equal(metric(sidecar, "istio_tcp_connections_opened_total", labels), 1);
  });
});

describe("a connection to an address in a range", () => {
  for (const [address, expected] of [
    ["198.51.100.7", "narrow"],
    ["198.51.7.7", "wide"],
    ["203.0.113.9", ""],
  ] as const) {
    test(`to ${address} goes ${expected || "nowhere"}`, async () => {
      await using harness = new Harness();
      const app = (text: string) => harness.tcpApp((socket) => socket.end(text));
      const [narrow, wide] = [await app("narrow"), await app("wide")];
      const chains = [
        tcpChain("wide", ["198.51.0.0/16"]),
        tcpChain("narrow", ["192.0.2.0/24", "198.51.100.0/24"]),
      ];
      const sidecar = await harness.sidecar(
        { destination: () => ({ address, port: 9_000 }) },
        {
          listeners: [virtual("virtualOutbound", "outbound", chains, tcpChain("BlackHoleCluster"))],
          clusters: [cluster("narrow"), cluster("wide"), blackHole],
          endpoints: [
            { cluster: "narrow", endpoints: [endpoint(narrow)] },
            { cluster: "wide", endpoints: [endpoint(wide)] },
          ],
        },
      );
      assert.equal(await greeting(sidecar.portOf("virtualOutbound") ?? 0), expected);
    });
  }
});
