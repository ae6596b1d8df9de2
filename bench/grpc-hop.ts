/**
 * What does one sidecar cost a unary gRPC call, over few connections?
 *
 *   h2load → sidecar → backend        ours
 *   h2load → Envoy → backend          rival, one worker, default statistics
 *   h2load → backend                  floor
 *
 * 8 connections with 16 calls at a time each, messages of 128 bytes both ways, everything in the clear on loopback. The
 * load generator and the backend share one core, the proxy has the other. Runs alternate; medians are compared. CPU is
 * user plus system time of the proxy over the calls of the run.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { h2load } from "./load/h2load.ts";
import { cpuOf, inTurns, type Path, ratiosOf, type Sample } from "./paths.ts";
import { Processes, requireCommands } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import { startEnvoy } from "./rivals/envoy.ts";
import { host, startSidecar, webSidecar } from "./sidecars.ts";

const connections = 8;
const streams = 16;
const messageBytes = 128;
const endsCore = 0;
const proxyCore = 1;

export interface GrpcHopOptions {
  readonly runs?: number;
  readonly seconds?: number;
  /** Extra words for the node that runs our sidecar, e.g. `--cpu-prof`. */
  readonly nodeOptions?: readonly string[];
  readonly rivals?: boolean;
}

export async function run(options: GrpcHopOptions = {}): Promise<BenchResult> {
  const { runs = 5, seconds = 4, rivals = true, nodeOptions = [] } = options;
  requireCommands("grpc-hop", ["h2load", "taskset"]);
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const body = join(folder, "message");
  writeFileSync(body, grpcMessage());
  const paths = await start(processes, folder, nodeOptions, rivals);
  const figures = await inTurns(
    paths,
    runs,
    (path) => measure(path, 2, body),
    (path) => measure(path, seconds, body),
  );
  const cpuUs = (name: string) => figures.get(name)?.medians["cpuUs"] ?? 0;
  const { direct, ...ratios } = ratiosOf(figures, "cpuUs");
  return {
    bench: "grpc-hop",
    unit: "microseconds of the proxy's CPU per unary call (floor: the backend's on the direct path)",
    ours: cpuUs("heddle"),
    floor: cpuUs("direct"),
    rivals: rivals ? { envoy: cpuUs("envoy") } : {},
    ratio: { floor: direct ?? 0, ...ratios },
    growth: [],
    details: { aims: { envoy: 0.7 }, ...Object.fromEntries(figures) },
  };
}

async function start(
  processes: Processes,
  folder: string,
  nodeOptions: readonly string[],
  rivals: boolean,
): Promise<readonly Path[]> {
  const script = join(import.meta.dirname, "grpc-backend-process.ts");
  const backend = await processes.start("backend", endsCore, [process.execPath, script], true);
  const port = Number(backend.firstLine);
  const sidecar = await startSidecar(
    { processes, folder, core: proxyCore, nodeOptions },
    "sidecar",
    webSidecar(port, { protocol: "http/2" }),
  );
  const paths: Path[] = [
    { name: "direct", port, counted: [backend] },
    { name: "heddle", port: sidecar.port, counted: [sidecar.process] },
  ];
  if (!rivals) return paths;
  const envoy = await startEnvoy(processes, folder, proxyCore, {
    kind: "http",
    protocol: "http/2",
    services: [{ name: "cart", domains: ["cart", host], backend: port }],
  });
  return [...paths, { name: "envoy", port: envoy.port, counted: [envoy.process] }];
}

async function measure(path: Path, seconds: number, body: string): Promise<Sample> {
  const { port } = path;
  const before = cpuOf(path);
  const load = { port, core: endsCore, seconds, connections, streams, host, body };
  const report = await h2load({ ...load, answerBytes: 5 + messageBytes });
  const cpu = cpuOf(path) - before;
  return {
    cpuUs: cpu / report.calls,
    callsPerSecond: report.calls / seconds,
    meanUs: report.meanUs,
  };
}

/** Of 128 bytes, with gRPC's prefix: not compressed, and how long. */
function grpcMessage(): Buffer {
  const message = Buffer.alloc(5 + messageBytes, 120);
  message.writeUInt8(0, 0);
  message.writeUInt32BE(messageBytes, 1);
  return message;
}
