/**
 * What does an ADD cost, from exec to result?
 *
 * A hundred pods with one host port each are attached by the real executable, in turn with a hundred by the rival,
 * Debian's reference chain `ptp`, `host-local` and `portmap`. Ours also puts the pod's policy in the kernel and forces
 * the address's record to disk. Like for like, the pods have no sidecar; what a sidecar adds is measured afterwards, with
 * a spare ready as on a node at rest. Without host ports ours and `ptp` with `host-local` are in the details.
 *
 * Each plugin is started by the same `spawn`, whose own price is the floor: ours pays it once, the chain twice (and a
 * third time for `host-local`, which `ptp` starts).
 */

import { type Added, addAll, type Chain, deleteAll, execute } from "./cni/chain.ts";
import { CniMachine } from "./cni/machine.ts";
import { type Percentiles, percentiles, ratioOf, round } from "./cni/percentiles.ts";
import type { BenchResult } from "./result.ts";

const warmUps = 10;
const firstPort = 20_000;
const aim = 1.2;

export interface CniAddOptions {
  /** ADDs of each kind; 100 unless given. */
  readonly count?: number;
  /** ADDs with a sidecar; 20 unless given. */
  readonly sidecars?: number;
}

export async function run(options: CniAddOptions = {}): Promise<BenchResult> {
  const { count = 100, sidecars = 20 } = options;
  await using machine = await CniMachine.start({ plain: count + warmUps, meshed: sidecars });
  const samples = await inTurns(machine, count + warmUps);
  const figures = (name: Kind) => {
    const kept = samples[name].slice(warmUps);
    return {
      ...percentiles(kept.map(({ addMs }) => addMs)),
      delete: percentiles(kept.map(({ deleteMs }) => deleteMs)),
    };
  };
  const floor = percentiles(samples.nothing.slice(warmUps));
  const [ours, reference] = [figures("ours"), figures("reference")];
  const [oursWithoutPort, ptp] = [figures("oursWithoutPort"), figures("ptp")];
  const ratio = ratioOf(ours, reference);
  return {
    bench: "cni-add",
    unit: "milliseconds from exec to result with one host port (p50; the ratio is the worse of p50 and p99)",
    ours: ours.p50Ms,
    floor: floor.p50Ms,
    rivals: { reference: reference.p50Ms },
    ratio: {
      floor: round(ours.p50Ms / floor.p50Ms),
      reference: Math.max(ratio.p50, ratio.p99),
    },
    growth: [],
    details: {
      aim,
      ratio,
      ours,
      reference,
      floor,
      withoutHostPort: { ours: oursWithoutPort, ptp, ratio: ratioOf(oursWithoutPort, ptp) },
      withSidecar: await withSidecars(machine, sidecars),
    },
  };
}

type Kind = "ours" | "reference" | "oursWithoutPort" | "ptp";

interface Sample {
  readonly addMs: number;
  readonly deleteMs: number;
}

interface Samples extends Readonly<Record<Kind, readonly Sample[]>> {
  readonly nothing: readonly number[];
}

/** Every kind attaches and detaches a container of its own in each turn. */
async function inTurns(machine: CniMachine, turns: number): Promise<Samples> {
  const samples: Record<Kind, Sample[]> = { ours: [], reference: [], oursWithoutPort: [], ptp: [] };
  const nothing: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const container = (kind: Kind, hostPort?: number) => ({
      id: `bench-${kind}-${turn}`,
      netns: machine.netns(`${kind}-${turn}`),
      ...(hostPort === undefined ? {} : { hostPort }),
    });
    const pod = `plain-${turn}`;
    nothing.push(await executeForNothing(machine));
    samples.ours.push(await measure(machine.ours(pod, container("ours", firstPort + turn))));
    samples.reference.push(
      await measure(machine.reference(container("reference", firstPort + turn))),
    );
    samples.oursWithoutPort.push(await measure(machine.ours(pod, container("oursWithoutPort"))));
    samples.ptp.push(await measure(machine.reference(container("ptp"))));
  }
  return { ...samples, nothing };
}

async function measure(chain: Chain): Promise<Sample> {
  const { tookMs, result }: Added = await addAll(chain);
  return { addMs: tookMs, deleteMs: await deleteAll(chain, result) };
}

/** What executing a plugin costs by itself: VERSION is answered by the executable, which asks nobody. */
async function executeForNothing(machine: CniMachine): Promise<number> {
  const chain = machine.ours("plain-0", { id: "nobody", netns: "/nowhere" });
  const start = performance.now();
  for (const plugin of chain.plugins) await execute(plugin, "VERSION", chain, undefined);
  return performance.now() - start;
}

/** With a spare ready each time, which is what a node at rest has. */
async function withSidecars(machine: CniMachine, count: number): Promise<Percentiles | null> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    await machine.spareSidecar();
    const netns = machine.netns(`meshed-${i}`);
    const { addMs } = await measure(machine.ours(`meshed-${i}`, { id: `meshed-${i}`, netns }));
    times.push(addMs);
  }
  return count === 0 ? null : percentiles(times);
}
