/**
 * What does Heddle cost packets between pods of two hosts, beside a VXLAN made by hand?
 *
 * The three measurements that netperf calls TCP_STREAM, TCP_RR and TCP_CRR, between the same two pods over either way
 * (pod-to-pod/network.ts), in turns of a few hundred milliseconds. A figure is the median of the turns' ratios, each of
 * neighbours in time, since what else the machine does changes slower than that.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNetns } from "../src/kernel/netns.ts";
import { TestNetwork } from "../test/netns/dataplane-node.ts";
import { joinTwice, type Ways } from "./pod-to-pod/network.ts";
import type { BenchResult } from "./result.ts";

const turns = 40;
const turnMs = 300;
const port = 5001;
const aim = 0.95;
const kinds = ["stream", "rr", "crr"] as const;

type Kind = (typeof kinds)[number];

interface Turn {
  readonly heddle: number;
  readonly byHand: number;
}

export async function run(): Promise<BenchResult> {
  if (process.getuid?.() !== 0) throw new Error("bench pod-to-pod: needs root");
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const load = buildLoad(folder);
  await using network = new TestNetwork();
  const ways = joinTwice(network);
  await using _server = await serve(load, ways);
  const figures = Object.fromEntries(
    kinds.map((kind) => [kind, summaryOf(measure(load, ways, kind))]),
  );
  const ratios = kinds.map((kind) => figures[kind]?.ratio ?? Number.NaN);
  const { stream } = figures;
  return {
    bench: "pod-to-pod",
    unit: "gigabit per second of one TCP stream (the ratio is the worst of stream, round trips and connections)",
    ours: stream?.heddle ?? Number.NaN,
    floor: stream?.byHand ?? Number.NaN,
    rivals: {},
    ratio: { floor: Math.min(...ratios) },
    growth: [],
    details: { aim, ...figures },
  };
}

function buildLoad(folder: string): string {
  const program = join(folder, "tcp-load");
  const source = join(import.meta.dirname, "pod-to-pod/tcp-load.c");
  execFileSync("gcc", ["-std=c11", "-O2", "-o", program, source]);
  return program;
}

async function serve(load: string, { server }: Ways): Promise<AsyncDisposable> {
  const child = inNetns(server.path, () =>
    spawn("taskset", ["-c", "1", load, "serve", String(port)], {
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  await once(child.stdout, "data");
  return {
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, "exit");
    },
  };
}

/** The first turn is a warm-up. */
function measure(load: string, ways: Ways, kind: Kind): readonly Turn[] {
  const once = (address: string): number => {
    const words = ["-c", "0", load, kind, address, String(port), String(turnMs)];
    return Number(
      inNetns(ways.client.path, () => execFileSync("taskset", words, { encoding: "utf8" })),
    );
  };
  return Array.from({ length: turns + 1 }, (_, turn): Turn => {
    // Whoever comes first in a turn comes second in the next.
    if (turn % 2 === 0) return { heddle: once(ways.heddle), byHand: once(ways.byHand) };
    const byHand = once(ways.byHand);
    return { heddle: once(ways.heddle), byHand };
  }).slice(1);
}

interface Summary {
  /** Gigabit, round trips or connections per second: medians. */
  readonly heddle: number;
  readonly byHand: number;
  /** Median of the turns', and the middle half of them. */
  readonly ratio: number;
  readonly quartiles: readonly [number, number];
}

function summaryOf(samples: readonly Turn[]): Summary {
  const scale = (value: number) => (value > 1e7 ? round((value * 8) / 1e9) : Math.round(value));
  const ratios = samples.map(({ heddle, byHand }) => heddle / byHand);
  return {
    heddle: scale(
      quantile(
        samples.map(({ heddle }) => heddle),
        0.5,
      ),
    ),
    byHand: scale(
      quantile(
        samples.map(({ byHand }) => byHand),
        0.5,
      ),
    ),
    ratio: round(quantile(ratios, 0.5)),
    quartiles: [round(quantile(ratios, 0.25)), round(quantile(ratios, 0.75))],
  };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
