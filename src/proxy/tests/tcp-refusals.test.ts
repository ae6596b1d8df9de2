/** TCP connections that reach nobody, as metrics tell why. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import type { Cluster } from "../../model/proxy-config.ts";
import { Harness, metric } from "../testing/harness.ts";
import { cluster, endpoint, type TestSidecarOptions, virtual } from "../testing/mesh.ts";

const options: TestSidecarOptions = { destination: () => ({ address: "10.96.0.2", port: 5432 }) };

function toEndpoints(harness: Harness, ports: readonly number[], more: Partial<Cluster> = {}) {
  const filter = {
    kind: "tcp" as const,
    statPrefix: "db",
    clusters: [{ cluster: "db", weight: 1 }],
  };
  return harness.sidecar(options, {
    listeners: [
      virtual("virtualOutbound", "outbound", [], { name: "db", match: {}, rbac: [], filter }),
    ],
    clusters: [cluster("db", more)],
    endpoints: [{ cluster: "db", endpoints: ports.map((port) => endpoint(port)) }],
  });
}

describe("a TCP connection that reaches nobody", () => {
  const cases: readonly (readonly [
    why: string,
    ports: (harness: Harness) => readonly Promise<number>[],
    more: Partial<Cluster>,
    flag: string,
  ])[] = [
    ["because there is no endpoint", () => [], {}, "UH"],
    ["because the only endpoint refuses it", (harness) => [harness.deadPort()], {}, "UF"],
    [
      "because both endpoints refuse it",
      (harness) => [harness.deadPort(), harness.deadPort()],
      {},
      "UF",
    ],
    [
      "because there are as many as there may be",
      (harness) => [harness.tcpApp(() => {})],
      { circuitBreakers: { maxConnections: 0 } },
      "UO",
    ],
  ];
  for (const [why, ports, more, flag] of cases) {
    test(`${why} is counted as ${flag}`, async () => {
      await using harness = new Harness();
      const sidecar = await toEndpoints(harness, await Promise.all(ports(harness)), more);
      const socket = connect(sidecar.portOf("virtualOutbound") ?? 0, "127.0.0.1");
      socket.on("error", () => {});
      await new Promise((resolve) => socket.on("close", resolve));
      const name = "istio_tcp_connections_closed_total";
      assert.equal(metric(sidecar, name, { response_flags: flag }), 1);
    });
  }
});
