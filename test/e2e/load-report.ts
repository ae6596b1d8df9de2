/** What the load client inside a pod reports, and how a test starts it. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { present } from "../../src/base/error.ts";
import { fetchWorld } from "../../src/cli/explain.ts";
import { holdShares } from "../explained.ts";
import { projectRoot, type TestLab } from "../lab.ts";

export interface LoadReport {
  requests: number;
  readonly statuses: Record<string, number>;
  /** Requests that were not answered with 200. `at`: when they were started, milliseconds since the epoch. */
  readonly failures: { readonly at: number; readonly what: string }[];
  readonly answers: { readonly at: number; readonly pod: string; readonly version: string }[];
}

export interface RunningLoad {
  /** Resolves when every worker has had an answer. */
  readonly ready: Promise<void>;
  readonly report: Promise<LoadReport>;
}

/** Runs the load client in a pod; `words` as in clients/load.ts. */
export function startLoad(lab: TestLab, pod: string, ...words: string[]): RunningLoad {
  const client = join(projectRoot, "test/e2e/clients/load.ts");
  const child = spawn(
    process.execPath,
    [
      "src/main.ts",
      "lab",
      "exec",
      "--name",
      lab.name,
      pod,
      "--",
      process.execPath,
      client,
      ...words,
    ],
    {
      cwd: projectRoot,
      env: { ...process.env, HEDDLE_LAB_DIR: lab.base },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const ready = Promise.withResolvers<void>();
  const report = Promise.withResolvers<LoadReport>();
  // Whoever waits for the report hears of the failure; nobody has to wait for both.
  ready.promise.catch(() => {});
  report.promise.catch(() => {});
  createInterface({ input: present(child.stdout, "standard output of the load client") }).on(
    "line",
    (line) => {
      if (line === "ready") ready.resolve();
      else if (line.startsWith("{")) report.resolve(JSON.parse(line) as LoadReport);
    },
  );
  child.once("close", (code) => {
    const ended = new Error(`the load client in ${pod} ended with ${code} and no report`);
    ready.reject(ended);
    report.reject(ended);
  });
  return { ready: ready.promise, report: report.promise };
}

/** A load while nothing changes: who answers, and in which shares, must be what `explain` says. */
export async function load(lab: TestLab, pod: string, ...words: string[]): Promise<LoadReport> {
  const world = await fetchWorld(lab.connection.client);
  const report = await startLoad(lab, pod, ...words).report;
  holdShares(world, pod, present(words[0], "the load's URL"), report.answers);
  return report;
}

/** How many answers came from each value of a field. */
export function countBy(report: LoadReport, field: "pod" | "version"): Map<string, number> {
  const counts = new Map<string, number>();
  for (const answer of report.answers) {
    counts.set(answer[field], (counts.get(answer[field]) ?? 0) + 1);
  }
  return counts;
}
