/**
 * Runs one bench and prints its result: a few lines for people, and with `--json` one JSON object as the last line.
 *
 *   npm run -s bench -- NAME [--json]
 */

import type { BenchResult } from "./result.ts";

const benches: Readonly<Record<string, () => Promise<BenchResult>>> = {
  "http1-hop": async () => (await import("./http1-hop.ts")).run(),
  "http1-mtls-hop": async () => (await import("./http1-mtls-hop.ts")).run(),
  "mtls-handshake": async () => (await import("./mtls-handshake.ts")).run(),
  "tcp-hop": async () => (await import("./tcp-hop.ts")).run(),
  "added-latency": async () => (await import("./added-latency.ts")).run(),
  "idle-connections": async () => (await import("./idle-connections.ts")).run(),
  "sidecar-memory": async () => (await import("./sidecar-memory.ts")).run(),
  "noisy-neighbour": async () => (await import("./noisy-neighbour.ts")).run(),
  "config-growth": async () => (await import("./config-growth.ts")).run(),
  "sidecar-pair": async () => (await import("./sidecar-pair.ts")).run(),
  "grpc-hop": async () => (await import("./grpc-hop.ts")).run(),
  observation: async () => (await import("./observation.ts")).run(),
  forecast: async () => (await import("./forecast.ts")).run(),
  "cni-add": async () => (await import("./cni-add.ts")).run(),
  "cni-add-parallel": async () => (await import("./cni-add-parallel.ts")).run(),
  "pod-to-pod": async () => (await import("./pod-to-pod.ts")).run(),
  "service-path": async () => (await import("./service-path.ts")).run(),
  "services-load": async () => (await import("./services-load.ts")).run(),
  "rule-change": async () => (await import("./rule-change.ts")).run(),
  "service-change": async () => (await import("./service-change.ts")).run(),
};

const words = process.argv.slice(2);
const name = words.find((word) => !word.startsWith("-"));
const bench = name === undefined ? undefined : benches[name];
if (bench === undefined) {
  process.stderr.write(
    `usage: npm run -s bench -- NAME [--json]\nbenches: ${Object.keys(benches).join(", ")}\n`,
  );
  process.exit(2);
}
try {
  const result = await bench();
  if (words.includes("--json")) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(`${describe(result)}\n`);
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

function describe(result: BenchResult): string {
  const line = (what: string, value: number | null, ratio: number | undefined) =>
    `  ${what.padEnd(12)} ${value === null ? "-" : value}${ratio === undefined ? "" : `  (ours is ${ratio} times this)`}`;
  return [
    `${result.bench}: ${result.unit}`,
    line("ours", result.ours, undefined),
    ...(result.floor === null ? [] : [line("floor", result.floor, result.ratio["floor"])]),
    ...Object.entries(result.rivals).map(([rival, value]) =>
      line(rival, value, result.ratio[rival]),
    ),
  ].join("\n");
}
