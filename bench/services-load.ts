/**
 * What does it cost to load all Services at once, as a node does when it starts?
 *
 * The same Services with the same features (affinity, masquerade, hairpin, traffic policies, node ports, balancers), in our
 * shape and in kube-proxy's nftables shape, each as one file that Debian's `nft` loads into a fresh namespace. Ours is the
 * whole table of a node. The floor is the start of `nft` with an empty table.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { present } from "../src/base/error.ts";
import { compileNode } from "../src/core/dataplane/compile-node.ts";
import { createNetns, deleteNetns, inNetns } from "../src/kernel/netns.ts";
import { renderRuleset } from "../src/model/ruleset-text.ts";
import { kubeProxyShape } from "./kube-proxy-shape.ts";
import type { BenchResult } from "./result.ts";
import { manyServices, viewOf } from "./service-views.ts";

const aim = 20;
/** A rival that has not ended by then is stopped: it takes at least so long, and the ratio is at least what that gives. */
const patienceMs = 150_000;

export async function run(services = 10_000): Promise<BenchResult> {
  if (process.getuid?.() !== 0) throw new Error("bench services-load: needs root");
  const directory = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  try {
    const floor = median([1, 2, 3].map(() => load(directory, "table inet heddle {\n}\n").ms));
    const growth = [100, 1_000, services].map((n) => ({ n, value: ours(directory, n) }));
    const rivalGrowth = [100, 1_000].map((n) => ({ n, value: rival(directory, n).ms }));
    // Ours around the rival, so that what else the machine does hits both.
    const before = ours(directory, services);
    const theirs = rival(directory, services);
    const own = median([before, ours(directory, services), growth[2]?.value ?? before]);
    return {
      bench: "services-load",
      unit: `milliseconds to load ${services} Services of 4 endpoints`,
      ours: own,
      floor,
      rivals: { "kube-proxy's shape": theirs.ms },
      ratio: {
        floor: round(own / floor),
        "kube-proxy's shape": round(own / theirs.ms),
      },
      growth,
      details: {
        timesFaster: round(theirs.ms / own),
        isAtLeast: theirs.isStopped,
        aim,
        rivalGrowth,
      },
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function ours(directory: string, count: number): number {
  const view = viewOf(manyServices(count));
  const { ruleset } = compileNode(view, [], { vxlan: true, nftables: true }).value;
  return load(directory, renderRuleset(present(ruleset, "ruleset"))).ms;
}

function rival(directory: string, count: number): Load {
  return load(directory, kubeProxyShape(viewOf(manyServices(count))));
}

let made = 0;

interface Load {
  readonly ms: number;
  readonly isStopped: boolean;
}

/** What `nft -f` takes in a namespace of its own. */
function load(directory: string, text: string): Load {
  const file = join(directory, "rules.nft");
  writeFileSync(file, text);
  const name = `heddle-bench-${process.pid}-${made++}`;
  const path = `/run/netns/${name}`;
  createNetns(path);
  try {
    const start = performance.now();
    const { status } = inNetns(path, () =>
      spawnSync("nft", ["-f", file], {
        stdio: "inherit",
        timeout: patienceMs,
        killSignal: "SIGKILL",
      }),
    );
    const ms = round(performance.now() - start);
    if (status !== 0 && ms < patienceMs)
      throw new Error(`bench services-load: nft ended with ${status}`);
    return { ms, isStopped: status !== 0 };
  } finally {
    deleteNetns(path);
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
