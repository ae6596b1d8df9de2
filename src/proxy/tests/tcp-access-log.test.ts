/** TCP connections in the access log. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import type { FilterChain } from "../../model/proxy-config.ts";
import { Harness } from "../testing/harness.ts";
import { cluster, endpoint, virtual } from "../testing/mesh.ts";

type Line = Readonly<Record<string, unknown>>;

/** A logged listener for bytes, in front of these ports; `lines` resolves with as many as are asked for. */
async function logged(harness: Harness, ports: readonly number[], more: Partial<FilterChain> = {}) {
  const lines: Line[] = [];
  let onLine = (): void => {};
  const filter = {
    kind: "tcp" as const,
    statPrefix: "db",
    clusters: [{ cluster: "db", weight: 1 }],
    accessLog: true,
  };
  const sidecar = await harness.sidecar(
    {
      destination: () => ({ address: "10.96.0.2", port: 5432 }),
      accessLog: (line) => {
        lines.push(JSON.parse(line));
        onLine();
      },
    },
    {
      listeners: [
        virtual("virtualOutbound", "outbound", [], {
          name: "db",
          match: {},
          rbac: [],
          filter,
          ...more,
        }),
      ],
      clusters: [cluster("db")],
      endpoints: [{ cluster: "db", endpoints: ports.map((port) => endpoint(port)) }],
    },
  );
  return {
    sidecar,
    port: sidecar.portOf("virtualOutbound") ?? 0,
    lines,
    line: () =>
      new Promise<Line>((resolve) => {
        onLine = () => resolve(lines.at(-1) ?? {});
        if (lines.length > 0) onLine();
      }),
  };
}

/** Connects, and waits until the other side has had enough. */
async function attempt(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await new Promise((resolve) => socket.on("close", resolve));
}

describe("a TCP connection in the access log", () => {
  test("is a line, once it is over, with its bytes both ways and where it went", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      socket.on("data", () => socket.end("four"));
    });
    const { port, line, lines } = await logged(harness, [app]);
    const client = await harness.raw(port);
    client.send("abc");
    await client.until((text) => text === "four");
    assert.deepEqual(lines, []);
    client.socket.end();
    const { start_time, duration, downstream_remote_address, ...rest } = await line();
    assert(Math.abs(Date.parse(String(start_time)) - Date.now()) < 60_000);
    assert(Number(duration) >= 0 && Number(duration) < 60_000);
    assert.equal(downstream_remote_address, "127.0.0.1");
    const told = Object.entries(rest).filter(([, value]) => value !== null);
    assert.deepEqual(Object.fromEntries(told), {
      response_code: 0,
      response_flags: "-",
      bytes_received: 3,
      bytes_sent: 4,
      upstream_host: `127.0.0.1:${app}`,
      upstream_cluster: "db",
      downstream_local_address: "10.96.0.2:5432",
    });
  });

  test("says with requests' flags why it reached nobody", async () => {
    await using harness = new Harness();
    for (const [ports, flag] of [
      [[], "UH"],
      [[await harness.deadPort()], "UF"],
    ] as const) {
      const { port, line } = await logged(harness, ports);
      await attempt(port);
      const { response_flags, upstream_host, upstream_cluster, bytes_sent } = await line();
      assert.deepEqual(
        [response_flags, upstream_host, upstream_cluster, bytes_sent],
        [flag, null, "db", 0],
      );
    }
  });

  test("names the policy that did not let it in", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp(() => assert.fail("it was let in"));
    const policies = [
      {
        name: "ns[shop]-policy[no]",
        permissions: [{ kind: "any" }],
        principals: [{ kind: "any" }],
      },
    ] as const;
    const { port, line } = await logged(harness, [app], { rbac: [{ action: "deny", policies }] });
    await attempt(port);
    const { connection_termination_details: details, upstream_host } = await line();
    assert.equal(details, "rbac_access_denied_matched_policy[ns[shop]-policy[no]]");
    assert.equal(upstream_host, null);
  });

  test("is no line where nobody has asked for one", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => socket.end("bye"));
    const filter = {
      kind: "tcp" as const,
      statPrefix: "db",
      clusters: [{ cluster: "db", weight: 1 }],
    };
    const { port, lines, sidecar } = await logged(harness, [app], { filter });
    const client = await harness.raw(port);
    await client.until((text) => text === "bye");
    client.socket.end();
    await sidecar.drain();
    assert.deepEqual(lines, []);
  });
});
