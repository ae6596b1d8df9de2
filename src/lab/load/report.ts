/** What a load was and what became of it: `heddle lab load`, for eyes and for programs. */

import { MeshError } from "../../base/error.ts";

export interface LoadOptions {
  readonly url: string;
  readonly requestsPerSecond: number;
  readonly seconds: number;
  /** Gaps between requests exponentially distributed, as independent users make them; else all alike. */
  readonly isPoisson: boolean;
}

/** Status 0: there was no answer. */
export type LoadSample = readonly [dueMs: number, latencyMs: number, status: number];

export interface LoadReport {
  readonly url: string;
  /** Instant that `dueMs` counts from. */
  readonly startedAt: number;
  readonly seconds: number;
  readonly samples: readonly LoadSample[];
  /** How often, by what went wrong. */
  readonly failures: Readonly<Record<string, number>>;
}

/** The value that the share `q` of these does not exceed; undefined of none. */
export function sampleQuantile(q: number, values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** Two lines: what was sent, and how long the good answers took. */
export function renderLoad(report: LoadReport): string {
  const { samples, seconds, failures } = report;
  const good = samples.filter(([, , status]) => status > 0 && status < 400);
  const rate = (samples.length / seconds).toFixed(1);
  const lines = [`${report.url}: ${samples.length} requests in ${seconds} s, ${rate}/s`];
  const latencies = good.map(([, ms]) => ms);
  if (latencies.length > 0) {
    const mean = latencies.reduce((sum, ms) => sum + ms, 0) / latencies.length;
    const parts = [0.5, 0.9, 0.99].map(
      (q) => `p${q * 100} ${(sampleQuantile(q, latencies) ?? 0).toFixed(1)} ms`,
    );
    lines.push(`  ${good.length} good: mean ${mean.toFixed(1)} ms, ${parts.join(", ")}`);
  }
  for (const [what, count] of Object.entries(failures)) lines.push(`  ${count} failed: ${what}`);
  return lines.join("\n");
}

/** `20s`, `2m` or a plain number of seconds; up to an hour. */
export function parseSeconds(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text) ?? [];
  const factor = { ms: 0.001, s: 1, m: 60 }[unit ?? "s"] ?? 1;
  const seconds = Number(digits) * factor;
  if (!(seconds > 0 && seconds <= 3_600)) {
    throw new MeshError("cli.usage", `--for: want up to an hour, as in 20s or 2m, got "${text}"`, {
      fault: "user",
    });
  }
  return seconds;
}

/** Requests per second, above 0 and up to 10 000. */
export function parseRate(text: string): number {
  const rate = Number(text);
  if (!(rate > 0 && rate <= 10_000)) {
    throw new MeshError(
      "cli.usage",
      `--rps: want a number above 0 and up to 10000, got "${text}"`,
      {
        fault: "user",
      },
    );
  }
  return rate;
}
