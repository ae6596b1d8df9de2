/** The name server at "any port", where few ports are free. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { inNetns } from "../../src/kernel/netns.ts";
import { needsRoot, output, Scratch } from "./kernel-scratch.ts";

const server = new URL("../../src/agent/dns/server.ts", import.meta.url).href;

/** Takes ports, by `take`, then listens for names twice; prints at how many ports. */
const program = (take: string, ports: readonly number[]) => `
  import { createSocket } from "node:dgram";
  import { createServer } from "node:net";
  import { serveNames } from ${JSON.stringify(server)};
  for (const port of ${JSON.stringify(ports)}) await new Promise((taken) => ${take});
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const listen = () => serveNames({ address: "127.0.0.1", port: 0, table: () => undefined, log });
  const ports = [await listen(), await listen()].map(({ port }) => port);
  process.stdout.write(String(new Set(ports).size), () => process.exit());
`;

describe("a name server at any port", { skip: needsRoot }, () => {
  const range = Array.from({ length: 100 }, (_, offset) => 40_000 + offset);
  for (const [protocol, take, ports] of [
    ["TCP", 'createServer().listen(port, "127.0.0.1", taken)', range.slice(0, -2)],
    [
      "UDP",
      'createSocket("udp4").bind(port, "127.0.0.1", taken)',
      range.filter((p) => p % 3 === 0),
    ],
  ] as const) {
    test(`finds one that is free where others are taken for ${protocol} only`, () => {
      using scratch = new Scratch();
      const netns = scratch.netns();
      inNetns(netns, () =>
        writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", `${range[0]} ${range.at(-1)}`),
      );
      const args = ["--input-type=module", "-e", program(take, ports)];
      assert.equal(output(netns, process.execPath, ...args), "2");
    });
  }
});
