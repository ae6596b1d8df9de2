/**
 * What latency does one sidecar add to a request, at a load that leaves it time?
 *
 * Some 1 000 requests a second over 16 keep-alive connections, HTTP/1.1, answers of 1 kB, through ours, HAProxy and Envoy
 * and without any of them; what a path adds is its quantile less that of the direct one. Load generator and backend share
 * one core, the proxies have the other. All have real-time priority, which takes root.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { round } from "./figures.ts";
import { hopPaths } from "./http-hop.ts";
import { wrk } from "./load/wrk.ts";
import { cpuOf, inTurns, type Path, type Sample } from "./paths.ts";
import { Processes, requireCommands } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import { host } from "./sidecars.ts";

const connections = 16;
/** An answer takes well below a millisecond, so that 16 connections ask some 1 000 times a second. */
const pauseMs = 16;

export interface AddedLatencyOptions {
  readonly runs?: number;
  readonly seconds?: number;
}

export async function run(options: AddedLatencyOptions = {}): Promise<BenchResult> {
  const { runs = 5, seconds = 5 } = options;
  requireCommands("added-latency", ["wrk", "taskset", "haproxy"]);
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const paths = await hopPaths(processes, folder, false, []);
  // Warm as a proxy at work is: some thousand requests at full speed.
  for (const { port } of paths) await wrk({ port, core: 0, seconds: 4, connections, host });
  takePrecedence(paths);
  const figures = await inTurns(
    paths,
    runs,
    (path) => measure(path, 1),
    (path) => measure(path, seconds),
  );
  const of = (name: string, figure: string) => figures.get(name)?.medians[figure] ?? 0;
  const added = (name: string) => ({
    p50Us: of(name, "p50Us") - of("direct", "p50Us"),
    p99Us: of(name, "p99Us") - of("direct", "p99Us"),
  });
  const [ours, haproxy, envoy] = [added("heddle"), added("haproxy"), added("envoy")];
  const ratio = (rival: typeof ours) =>
    round(Math.max(ours.p50Us / rival.p50Us, ours.p99Us / rival.p99Us));
  return {
    bench: "added-latency",
    unit: "microseconds added to p50 at 1 000 requests/s (the ratio is the worse of p50's and p99's)",
    ours: ours.p50Us,
    floor: null,
    rivals: { haproxy: haproxy.p50Us, envoy: envoy.p50Us },
    ratio: { haproxy: ratio(haproxy), envoy: ratio(envoy) },
    growth: [],
    details: {
      aims: { envoy: 1 },
      added: { ours, haproxy, envoy },
      ...Object.fromEntries(figures),
    },
  };
}

/**
 * Real-time priority for all processes of the bench, and for those that it starts from now on: at this load they take a
 * fraction of a core, and what is asked is what a path adds, not how long it waits for what else the machine does.
 */
function takePrecedence(paths: readonly Path[]): void {
  const pids = paths.flatMap(({ counted }) => counted.map(({ process: { pid } }) => pid));
  for (const pid of [...pids, process.pid])
    execFileSync("chrt", ["--all-tasks", "--rr", "--pid", "1", String(pid)]);
}

async function measure(path: Path, seconds: number): Promise<Sample> {
  const before = cpuOf(path);
  const { port } = path;
  const report = await wrk({ port, core: 0, seconds, connections, host, pauseMs });
  return {
    p50Us: report.p50Us,
    p99Us: report.p99Us,
    cpuUs: (cpuOf(path) - before) / report.requests,
    requestsPerSecond: report.requests / seconds,
  };
}
