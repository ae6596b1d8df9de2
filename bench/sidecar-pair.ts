/**
 * What do two sidecars with mutual TLS cost an HTTP/1.1 request?
 *
 *   wrk → outbound sidecar → (mutual TLS) → inbound sidecar → backend         ours
 *   wrk → HAProxy → (mutual TLS) → HAProxy → backend                          rival, one thread each
 *   wrk → backend                                                             floor
 *
 * 64 keep-alive connections, answers of 1 kB, everything on loopback. The load generator and the backend share one core,
 * both proxies of a pair the other. Runs alternate, so that what else the machine does hits all alike; the medians are
 * compared. CPU is user plus system time of both proxies over the requests of the run; latency is what the client sees,
 * less what it sees on the direct path.
 *
 * Ours routes by host, counts Istio's metrics at both ends, and checks SPIFFE identities; HAProxy is told to do what it can
 * of the same: route by host, set the same headers, verify both certificates, TLS 1.3, reuse connections.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { round } from "./figures.ts";
import { warmUp, wrk } from "./load/wrk.ts";
import { cpuOf, type Figures, inTurns, type Path, ratiosOf, type Sample } from "./paths.ts";
import { Processes, requireCommands } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import { startHaproxy, startTerminator } from "./rivals/haproxy.ts";
import { cartSidecar, certificates, host, startSidecar, webSidecar } from "./sidecars.ts";

const connections = 64;
const endsCore = 0;
const proxiesCore = 1;

export interface SidecarPairOptions {
  /** Measured runs of each path; 3 unless given. */
  readonly runs?: number;
  readonly seconds?: number;
  /** Extra words for the node that runs our sidecars, e.g. `--cpu-prof`. */
  readonly nodeOptions?: readonly string[];
  readonly rivals?: boolean;
}

export async function run(options: SidecarPairOptions = {}): Promise<BenchResult> {
  const { runs = 3, seconds = 5, rivals = true, nodeOptions = [] } = options;
  requireCommands("sidecar-pair", ["wrk", "taskset", "haproxy"]);
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const paths = await start(processes, folder, nodeOptions);
  const figures = await inTurns(
    rivals ? paths : paths.slice(0, 2),
    runs,
    ({ port }) => warmUp({ port, core: endsCore, connections, host }),
    (path) => measure(path, seconds),
  );
  return resultOf(figures);
}

async function start(
  processes: Processes,
  folder: string,
  nodeOptions: readonly string[],
): Promise<readonly Path[]> {
  const { web, cart, files } = await certificates(folder);
  const script = join(import.meta.dirname, "backend-process.ts");
  const backend = await processes.start("backend", endsCore, [process.execPath, script], true);
  const backendPort = Number(backend.firstLine);
  const ours = { processes, folder, core: proxiesCore, nodeOptions };
  const server = await startSidecar(ours, "inbound sidecar", cartSidecar(backendPort, cart));
  const client = await startSidecar(ours, "outbound sidecar", webSidecar(server.port, {}, web));
  const accepting = await startTerminator(processes, folder, proxiesCore, backendPort, {
    certificate: files.cart,
    roots: files.roots,
  });
  const calling = await startHaproxy(processes, folder, proxiesCore, host, accepting.port, {
    certificate: files.web,
    roots: files.roots,
  });
  return [
    { name: "direct", port: backendPort, counted: [backend] },
    { name: "heddle", port: client.port, counted: [client.process, server.process] },
    { name: "haproxy", port: calling.port, counted: [calling.process, accepting.process] },
  ];
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

function resultOf(figures: ReadonlyMap<string, Figures>): BenchResult {
  const of = (name: string, figure: string) => figures.get(name)?.medians[figure] ?? 0;
  const added = (name: string, figure: string) => of(name, figure) - of("direct", figure);
  const ours = of("heddle", "cpuUs");
  const cpu = ratiosOf(figures, "cpuUs");
  const ratios = {
    cpu: cpu["haproxy"] ?? 0,
    addedP50: round(added("heddle", "p50Us") / added("haproxy", "p50Us")),
    addedP99: round(added("heddle", "p99Us") / added("haproxy", "p99Us")),
  };
  const isCompared = figures.has("haproxy");
  return {
    bench: "sidecar-pair",
    unit: "microseconds of CPU per request (both proxies; floor: the backend on the direct path)",
    ours,
    floor: of("direct", "cpuUs"),
    rivals: isCompared ? { haproxy: of("haproxy", "cpuUs") } : {},
    ratio: {
      floor: cpu["direct"] ?? 0,
      ...(isCompared ? { haproxy: Math.max(ratios.cpu, ratios.addedP50, ratios.addedP99) } : {}),
    },
    growth: [],
    details: { aim: 2, ...(isCompared ? { ratios } : {}), ...Object.fromEntries(figures) },
  };
}
