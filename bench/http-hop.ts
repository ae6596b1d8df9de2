/**
 * One sidecar between wrk and a backend, beside HAProxy and Envoy in its place; in the clear, or with mutual TLS towards
 * the backend. What `http1-hop` and `http1-mtls-hop` share.
 *
 * 64 keep-alive connections, answers of 1 kB, everything on loopback. Load generator and backend share one core, proxies
 * have the other, one worker each. CPU is user plus system time of the proxy over the requests of a run.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { warmUp, wrk } from "./load/wrk.ts";
import { cpuOf, type Figures, inTurns, type Path, ratiosOf, type Sample } from "./paths.ts";
import { Processes, requireCommands } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import { startEnvoy } from "./rivals/envoy.ts";
import { startBackend, startHaproxy } from "./rivals/haproxy.ts";
import { cartIdentity, certificates, host, startSidecar, webSidecar } from "./sidecars.ts";

const connections = 64;
const endsCore = 0;
const proxyCore = 1;

export interface HopOptions {
  readonly runs?: number;
  readonly seconds?: number;
  /** Extra words for the node that runs our sidecar, e.g. `--cpu-prof`. */
  readonly nodeOptions?: readonly string[];
  readonly rivals?: boolean;
}

export interface Hop {
  readonly bench: string;
  readonly isMutualTls: boolean;
  readonly aims: Readonly<Record<string, number>>;
}

export async function measureHop(hop: Hop, options: HopOptions): Promise<BenchResult> {
  const { runs = 5, seconds = 4, rivals = true, nodeOptions = [] } = options;
  requireCommands(hop.bench, ["wrk", "taskset", "haproxy"]);
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const paths = await hopPaths(processes, folder, hop.isMutualTls, nodeOptions);
  const figures = await inTurns(rivals ? paths : paths.slice(0, 2), runs, warmUpPath, (path) =>
    measure(path, seconds),
  );
  return resultOf(hop, figures);
}

/** The direct way, ours, HAProxy's and Envoy's. */
export async function hopPaths(
  processes: Processes,
  folder: string,
  isMutualTls: boolean,
  nodeOptions: readonly string[],
): Promise<readonly Path[]> {
  const mesh = isMutualTls ? await certificates(folder) : undefined;
  const files = mesh?.files;
  const backend = await startBackend(
    processes,
    folder,
    endsCore,
    files && { certificate: files.cart, roots: files.roots },
  );
  const port = isMutualTls ? backend.tlsPort : backend.port;
  const sidecar = await startSidecar(
    { processes, folder, core: proxyCore, nodeOptions },
    "sidecar",
    webSidecar(port, {}, mesh?.web),
  );
  const tls = files && { certificate: files.web, roots: files.roots };
  const haproxy = await startHaproxy(processes, folder, proxyCore, host, port, tls);
  const envoy = await startEnvoy(processes, folder, proxyCore, {
    kind: "http",
    protocol: "http/1.1",
    services: [{ name: "cart", domains: ["cart", host], backend: port }],
    ...(files === undefined
      ? {}
      : {
          tls: {
            certificate: files.webChain,
            key: files.webKey,
            roots: files.roots,
            peer: cartIdentity,
          },
        }),
  });
  return [
    { name: "direct", port: backend.port, counted: [backend.process] },
    { name: "heddle", port: sidecar.port, counted: [sidecar.process] },
    { name: "haproxy", port: haproxy.port, counted: [haproxy.process] },
    { name: "envoy", port: envoy.port, counted: [envoy.process] },
  ];
}

function warmUpPath({ port }: Path): Promise<void> {
  return warmUp({ port, core: endsCore, connections, host });
}

async function measure(path: Path, seconds: number): Promise<Sample> {
  const before = cpuOf(path);
  const report = await wrk({ port: path.port, core: endsCore, seconds, connections, host });
  const cpu = cpuOf(path) - before;
  return {
    cpuUs: cpu / report.requests,
    requestsPerSecond: report.requests / seconds,
    p50Us: report.p50Us,
    p99Us: report.p99Us,
  };
}

function resultOf(hop: Hop, figures: ReadonlyMap<string, Figures>): BenchResult {
  const cpuUs = (name: string) => figures.get(name)?.medians["cpuUs"] ?? 0;
  const rivals = [...figures.keys()].filter((name) => name !== "heddle" && name !== "direct");
  const { direct, ...ratios } = ratiosOf(figures, "cpuUs");
  return {
    bench: hop.bench,
    unit: "microseconds of the proxy's CPU per request (floor: the backend's on the direct path)",
    ours: cpuUs("heddle"),
    floor: cpuUs("direct"),
    rivals: Object.fromEntries(rivals.map((name) => [name, cpuUs(name)])),
    ratio: { floor: direct ?? 0, ...ratios },
    growth: [],
    details: { aims: hop.aims, ...Object.fromEntries(figures) },
  };
}
