/**
 * What does Heddle cost packets between pods of two hosts, beside a VXLAN made by hand?
 *
 * The three measurements that netperf calls TCP_STREAM, TCP_RR and TCP_CRR, between the same two pods over each way
 * (pod-to-pod/network.ts), in turns of a few hundred milliseconds. A figure is the median of the turns' ratios, each of
 * neighbours in time, since what else the machine does changes slower than that. Both ends have real-time priority: what
 * is measured is the kernel's way, and not the wait for a core.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNetns } from "../src/kernel/netns.ts";
import { TestNetwork } from "../test/netns/dataplane-node.ts";
import { joinInAllWays, type Ways } from "./pod-to-pod/network.ts";
import type { BenchResult } from "./result.ts";

const turns = 40;
const turnMs = 200;
const port = 5001;
const aim = 0.95;
const realTime = ["-f", "10"];
const kinds = ["stream", "rr", "crr"] as const;

type Kind = (typeof kinds)[number];

const wayNames = ["heddle", "byHand", "tracked"] as const;

type Turn = Readonly<Record<(typeof wayNames)[number], number>>;

export async function run(): Promise<BenchResult> {
  if (process.getuid?.() !== 0) throw new Error("bench pod-to-pod: needs root");
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const load = buildLoad(folder);
  await using network = new TestNetwork();
  const ways = joinInAllWays(network);
  await using _server = await serve(load, ways);
  const figures = Object.fromEntries(
    kinds.map((kind) => [kind, summaryOf(kind, measure(load, ways, kind))]),
  );
  const worst = (rival: "byHand" | "tracked") =>
    Math.min(...kinds.map((kind) => figures[kind]?.ratio[rival] ?? Number.NaN));
  const { stream } = figures;
  return {
    bench: "pod-to-pod",
    unit: "gigabit per second of one TCP stream (ratios are the worst of stream, round trips and connections)",
    ours: stream?.heddle ?? Number.NaN,
    floor: stream?.byHand ?? Number.NaN,
    rivals: { tracked: stream?.tracked ?? Number.NaN },
    ratio: { floor: worst("byHand"), tracked: worst("tracked") },
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
    spawn("chrt", [...realTime, "taskset", "-c", "1", load, "serve", String(port)], {
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
    const command = [...realTime, "taskset", "-c", "0", load, kind, address];
    const words = [...command, String(port), String(turnMs)];
    return Number(
      inNetns(ways.client.path, () => execFileSync("chrt", words, { encoding: "utf8" })),
    );
  };
  return Array.from({ length: turns + 1 }, (_, turn): Turn => {
    const measured: Record<keyof Turn, number> = { heddle: 0, byHand: 0, tracked: 0 };
    // Each way comes first, second and last equally often.
    for (let i = 0; i < wayNames.length; i++) {
      const way = wayNames[(turn + i) % wayNames.length];
      if (way !== undefined) measured[way] = once(ways[way]);
    }
    return measured;
  }).slice(1);
}

interface Summary extends Turn {
  /** Ours to either, in the median of all turns. */
  readonly ratio: { readonly byHand: number; readonly tracked: number };
  /** The middle half of the turns' ratios to `byHand`. */
  readonly quartiles: readonly [number, number];
}

/** Gigabit, round trips or connections per second: medians. */
function summaryOf(kind: Kind, samples: readonly Turn[]): Summary {
  const scale = (value: number) =>
    kind === "stream" ? round((value * 8) / 1e9) : Math.round(value);
  const typical = (way: keyof Turn) =>
    scale(
      quantile(
        samples.map((each) => each[way]),
        0.5,
      ),
    );
  const ratios = (rival: keyof Turn) => samples.map((each) => each.heddle / each[rival]);
  return {
    heddle: typical("heddle"),
    byHand: typical("byHand"),
    tracked: typical("tracked"),
    ratio: {
      byHand: round(quantile(ratios("byHand"), 0.5)),
      tracked: round(quantile(ratios("tracked"), 0.5)),
    },
    quartiles: [round(quantile(ratios("byHand"), 0.25)), round(quantile(ratios("byHand"), 0.75))],
  };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
