/** What clients hold that have begun to say something and wait: none of the memory that Node shares out. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { FilterChain, Listener } from "../../model/proxy-config.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, virtual, virtualHost } from "../testing/mesh.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** What others do meanwhile: each time as much as Node shares out of one piece. */
function work(): void {
  for (let bytes = 0; bytes < 2 * Buffer.poolSize; bytes += 4_000) Buffer.allocUnsafe(4_000);
}

async function listening(
  harness: Harness,
  match: FilterChain["match"],
  listener: Partial<Listener>,
): Promise<Sidecar> {
  const app = await harness.app(() => {}); // takes requests and never answers
  const virtualHosts = [virtualHost(["*"], [route(forward("app"))])];
  const http: FilterChain = {
    name: "http",
    match,
    rbac: [],
    filter: {
      kind: "http",
      statPrefix: "http",
      routes: { kind: "inline", config: { name: "r", virtualHosts } },
      rbac: [],
    },
  };
  return await harness.sidecar(
    { destination: () => ({ address: "192.0.2.1", port: 443 }) },
    {
      listeners: [{ ...virtual("edge", "outbound", [http]), ...listener }],
      clusters: [cluster("app")],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    },
  );
}

/** Bytes of memory outside the heap for each of `count` clients that have said so much and wait. */
async function eachHolds(sidecar: Sidecar, harness: Harness, said: string): Promise<number> {
  const { overload } = sidecar.runtime.environment;
  const open = async (count: number) => {
    for (let i = 0; i < count; i++) {
      overload.measure();
      const before = overload.heldBytes;
      (await harness.raw(sidecar.portOf("edge") ?? 0)).send(said);
      while (overload.heldBytes === before) {
        await new Promise(setImmediate);
        overload.measure();
      }
      work();
    }
  };
  const used = async () => {
    for (let i = 0; i < 5; i++) {
      collect(); // what is collected is given back later, by another thread
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return process.memoryUsage().arrayBuffers;
  };
  await open(5);
  const before = await used();
  await open(50);
  return ((await used()) - before) / 50;
}

const told = { transport: "raw", applicationProtocols: ["http/1.1", "h2c"] } as const;
for (const [name, said, match, listener] of [
  ["part of a method", "GE", told, {}],
  ["part of HTTP/2's preface", "PR", {}, {}],
  ["part of a PROXY header", "PROXY TCP4 203.", told, { proxyProtocol: "required" }],
  ["part of a head", "GET / HTTP/1.1\r\nhost: ca", told, {}],
  ["part of a request behind another", "GET / HTTP/1.1\r\nhost: cart\r\n\r\nGET", told, {}],
] as const) {
  test(`a client that has sent ${name} holds little more than that`, async () => {
    await using harness = new Harness();
    const sidecar = await listening(harness, match, listener);
    const eachBytes = await eachHolds(sidecar, harness, said);
    assert(eachBytes < 10_000, `${eachBytes} bytes each`);
  });
}
