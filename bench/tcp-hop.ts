/**
 * How many bytes does one sidecar carry for a second of CPU?
 *
 *   source → sidecar → sink        ours
 *   source → Envoy → sink          rival, one worker
 *   source → sink                  floor: the sink's CPU
 *
 * Four connections that are written to as fast as the other end takes it, plain TCP on loopback. Both ends share one core,
 * the proxy has the other. More is better: the ratio is ours over the other's.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuOf, inTurns, type Path, ratiosOf, type Sample } from "./paths.ts";
import { Processes, requireCommands } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import { startEnvoy } from "./rivals/envoy.ts";
import { startSidecar, tcpSidecar } from "./sidecars.ts";

const connections = 4;
const endsCore = 0;
const proxyCore = 1;

export interface TcpHopOptions {
  readonly runs?: number;
  readonly seconds?: number;
  readonly nodeOptions?: readonly string[];
}

export async function run(options: TcpHopOptions = {}): Promise<BenchResult> {
  const { runs = 5, seconds = 3, nodeOptions = [] } = options;
  requireCommands("tcp-hop", ["taskset"]);
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const paths = await start(processes, folder, nodeOptions);
  const figures = await inTurns(
    paths,
    runs,
    (path) => measure(path, 1),
    (path) => measure(path, seconds),
  );
  const of = (name: string) => figures.get(name)?.medians["gigabytesPerCpuSecond"] ?? 0;
  const { direct, ...ratios } = ratiosOf(figures, "gigabytesPerCpuSecond");
  return {
    bench: "tcp-hop",
    unit: "gigabytes per second of the proxy's CPU (floor: of the sink's on the direct path); more is better",
    ours: of("heddle"),
    floor: of("direct"),
    rivals: { envoy: of("envoy") },
    ratio: { floor: direct ?? 0, ...ratios },
    growth: [],
    details: { aims: { envoy: 0.9 }, ...Object.fromEntries(figures) },
  };
}

async function start(
  processes: Processes,
  folder: string,
  nodeOptions: readonly string[],
): Promise<readonly Path[]> {
  const script = join(import.meta.dirname, "tcp-sink-process.ts");
  const sink = await processes.start("sink", endsCore, [process.execPath, script], true);
  const port = Number(sink.firstLine);
  const ours = { processes, folder, core: proxyCore, nodeOptions };
  const sidecar = await startSidecar(ours, "sidecar", tcpSidecar(port));
  const hop = { kind: "tcp", backend: port } as const;
  const envoy = await startEnvoy(processes, folder, proxyCore, hop);
  return [
    { name: "direct", port, counted: [sink] },
    { name: "heddle", port: sidecar.port, counted: [sidecar.process] },
    { name: "envoy", port: envoy.port, counted: [envoy.process] },
  ];
}

async function measure(path: Path, seconds: number): Promise<Sample> {
  const script = join(import.meta.dirname, "tcp-source-process.ts");
  const words = [script, path.port, connections, seconds].map(String);
  await using sources = new Processes();
  const before = cpuOf(path);
  const source = await sources.start("source", endsCore, [process.execPath, ...words], true);
  const cpuUs = cpuOf(path) - before;
  const sent = JSON.parse(source.firstLine) as { readonly bytes: number; readonly seconds: number };
  return {
    gigabytesPerCpuSecond: sent.bytes / 1e9 / (cpuUs / 1e6),
    gigabytesPerSecond: sent.bytes / 1e9 / sent.seconds,
  };
}
