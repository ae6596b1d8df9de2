/**
 * What memory does a dedicated sidecar hold, and what does each further pod cost in shared mode?
 *
 * The shop on two hosts of a lab, so that sidecars are what agents start: with certificates, a configuration from the
 * server, and admin sockets. Measured when they are up, and again after a `web` has called `cart` a hundred times.
 * Resident memory counts the program's own text in full, which all sidecars of a node share; the proportional share
 * (PSS) divides it among them. Envoy, with one route and no control plane, stands beside it.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { present } from "../src/base/error.ts";
import { startLab, type TestLab } from "../test/lab.ts";
import { medianOf, round } from "./figures.ts";
import { hopPaths } from "./http-hop.ts";
import { wrk } from "./load/wrk.ts";
import { type Memory, memoryOf } from "./process-memory.ts";
import { Processes } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import { sharedMemory } from "./shared-sidecars.ts";
import { host } from "./sidecars.ts";

const aimMb = 75;
/** Of each further pod in shared mode. */
const sharedAimMb = 3;
/** What the shop answers at ease: a backlog would measure the backlog. */
const requestsPerSecond = 5;
const seconds = 20;

export async function run(): Promise<BenchResult> {
  if (process.getuid?.() !== 0) throw new Error("bench sidecar-memory: needs root");
  const ours = await inLab();
  const shared = await sharedMemory();
  const envoy = await envoyMemory();
  const worst = Math.max(...ours.used.map(({ residentMb }) => residentMb));
  const median = (all: readonly Memory[], of: keyof Memory) =>
    round(medianOf(all.map((memory) => memory[of])));
  return {
    bench: "sidecar-memory",
    unit: "megabytes of resident memory of the largest sidecar, after it has been used",
    ours: worst,
    floor: null,
    rivals: { envoy: envoy.residentMb },
    ratio: { envoy: round(worst / envoy.residentMb) },
    growth: shared.growth,
    details: {
      aimMb,
      shared: { aimMb: sharedAimMb, ...shared },
      sidecars: ours.used.length,
      started: {
        residentMb: median(ours.started, "residentMb"),
        shareMb: median(ours.started, "shareMb"),
      },
      used: { residentMb: median(ours.used, "residentMb"), shareMb: median(ours.used, "shareMb") },
      envoy,
    },
  };
}

async function inLab(): Promise<{ readonly started: Memory[]; readonly used: Memory[] }> {
  await using lab = await startLab();
  const started = await memories(lab);
  const web = present((await lab.pods("web-"))[0], "pod of web");
  const load = ["--rps", String(requestsPerSecond), "--for", `${seconds}s`];
  const report = await lab.must("load", web.name, "http://cart/", ...load);
  if (report.includes(" failed: ")) throw new Error(`bench sidecar-memory: ${report}`);
  await delay(3_000); // as long as a collector may take to give back what the load has left
  return { started, used: await memories(lab) };
}

async function memories(lab: TestLab): Promise<Memory[]> {
  const { pods } = await lab.status();
  const sidecars = pods.flatMap(({ sidecar }) => sidecar ?? []);
  if (sidecars.length === 0) throw new Error("bench sidecar-memory: no pod has a sidecar");
  return sidecars.map(memoryOf);
}

async function envoyMemory(): Promise<Memory> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const paths = await hopPaths(processes, folder, true, []);
  const envoy = present(
    paths.find(({ name }) => name === "envoy"),
    "Envoy",
  );
  await wrk({ port: envoy.port, core: 0, seconds: 2, connections: 16, host });
  return memoryOf(envoy.counted[0]?.process.pid ?? 0);
}
