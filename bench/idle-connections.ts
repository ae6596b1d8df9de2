/**
 * What memory does an idle connection cost a sidecar?
 *
 * 10 000 connections are opened through it, each is used once and kept. What its resident memory has grown by, once it
 * does not change any more, over the number of connections: for HTTP/1.1 in the clear (ours, HAProxy's, Envoy's), for
 * HTTP/1.1 inside mutual TLS that the sidecar terminates, and for TCP, where each connection is two. The floor is the
 * kernel's alone, which is not counted: its buffers are in nobody's resident memory.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { round } from "./figures.ts";
import { hopPaths } from "./http-hop.ts";
import { Processes, requireCommands, residentBytes } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import { cartSidecar, certificates, startSidecar, tcpSidecar } from "./sidecars.ts";

const connections = 10_000;
/** Of TCP: each takes two descriptors, of which a process has 20 000 here. */
const tunnels = 5_000;
const aimBytes = 20_000;
const endsCore = 0;
const proxyCore = 1;

interface Idle {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  readonly kind: "http" | "mtls" | "tcp";
  readonly connections: number;
}

export async function run(): Promise<BenchResult> {
  requireCommands("idle-connections", ["taskset", "haproxy"]);
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const bytes = new Map<string, number>();
  for (const idle of await start(processes, folder))
    bytes.set(idle.name, await grown(idle, folder));
  const ours = bytes.get("heddle") ?? 0;
  const rivals = { haproxy: bytes.get("haproxy") ?? 0, envoy: bytes.get("envoy") ?? 0 };
  return {
    bench: "idle-connections",
    unit: "bytes of resident memory per idle HTTP/1.1 connection",
    ours,
    floor: null,
    rivals,
    ratio: Object.fromEntries(
      Object.entries(rivals).map(([name, theirs]) => [name, round(ours / theirs)]),
    ),
    growth: [],
    details: { aimBytes, connections, tunnels, bytes: Object.fromEntries(bytes) },
  };
}

async function start(processes: Processes, folder: string): Promise<readonly Idle[]> {
  const { cart } = await certificates(folder);
  const paths = await hopPaths(processes, folder, false, []);
  const [direct, ...http] = paths;
  const ours = { processes, folder, core: proxyCore };
  const inbound = await startSidecar(ours, "inbound", cartSidecar(direct?.port ?? 0, cart));
  const echo = join(import.meta.dirname, "echo-process.ts");
  const echoing = await processes.start("echo", endsCore, [process.execPath, echo], true);
  const tcp = await startSidecar(ours, "tcp", tcpSidecar(Number(echoing.firstLine)));
  const pidOf = ({ process: { process } }: typeof inbound) => process.pid ?? 0;
  return [
    ...http.map(({ name, port, counted }): Idle => {
      const pid = counted[0]?.process.pid ?? 0;
      return { name, port, pid, kind: "http", connections };
    }),
    { name: "mtls", port: inbound.port, pid: pidOf(inbound), kind: "mtls", connections },
    { name: "tcp", port: tcp.port, pid: pidOf(tcp), kind: "tcp", connections: tunnels },
  ];
}

/** Bytes a connection. A few are opened and closed first: what the first ones load is not theirs. */
async function grown(idle: Idle, folder: string): Promise<number> {
  await hold(idle, 500, folder, async () => {});
  const before = await settled(idle.pid);
  let after = before;
  await hold(idle, idle.connections, folder, async () => {
    after = await settled(idle.pid);
  });
  return Math.round((after - before) / idle.connections);
}

async function hold(
  { port, kind }: Idle,
  count: number,
  folder: string,
  meanwhile: () => Promise<void>,
): Promise<void> {
  await using clients = new Processes();
  const script = join(import.meta.dirname, "idle-client-process.ts");
  const words = [process.execPath, script, String(port), String(count), kind, folder];
  await clients.start("idle client", endsCore, words, true);
  await meanwhile();
}

/** The resident memory once it has not changed for two seconds: collectors take their time. */
async function settled(pid: number): Promise<number> {
  let last = residentBytes(pid);
  let since = performance.now();
  while (performance.now() - since < 2_000) {
    await delay(250);
    const now = residentBytes(pid);
    if (Math.abs(now - last) > 256 * 1024) {
      last = now;
      since = performance.now();
    }
  }
  return last;
}
