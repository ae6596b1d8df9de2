/**
 * What does an ADD cost when a hundred containers start at once, as after a reboot or a drained node?
 *
 * Rounds of a hundred containers with one host port each, all attached at once, then all detached: by the real executable,
 * and in turn by Debian's reference chain `ptp`, `host-local` and `portmap`, in the same namespaces. A time goes from a
 * container's first exec to its result, so what waits behind the other 99 is in it.
 */

import { type Added, addAll, type Chain, deleteAll } from "./cni/chain.ts";
import { CniMachine } from "./cni/machine.ts";
import { percentiles, ratioOf, round } from "./cni/percentiles.ts";
import type { BenchResult } from "./result.ts";

const atOnce = 100;
const rounds = 2;
const firstPort = 20_000;
const aim = 1.2;

interface Round {
  readonly addMs: readonly number[];
  readonly deleteMs: readonly number[];
  /** From the first exec to the last result. */
  readonly allMs: number;
}

export async function run(): Promise<BenchResult> {
  await using machine = await CniMachine.start({ plain: atOnce });
  const namespaces = Array.from({ length: atOnce }, (_, i) => machine.netns(`many-${i}`));
  const containers = namespaces.map((netns, i) => ({ netns, id: `many-${i}` }));
  const chains = {
    ours: containers.map((each, i) =>
      machine.ours(`plain-${i}`, { ...each, hostPort: firstPort + i }),
    ),
    reference: containers.map((each, i) => machine.reference({ ...each, hostPort: firstPort + i })),
    oursWithoutPort: containers.map((each, i) => machine.ours(`plain-${i}`, each)),
    ptp: containers.map((each) => machine.reference(each)),
  };
  type Kind = keyof typeof chains;
  const kinds: readonly Kind[] = ["ours", "reference", "oursWithoutPort", "ptp"];
  const samples: Record<Kind, Round[]> = { ours: [], reference: [], oursWithoutPort: [], ptp: [] };
  await allAtOnce(chains.oursWithoutPort); // the agent is warmed up; plugins have nothing to warm
  for (let turn = 0; turn < rounds; turn++) {
    for (const kind of kinds) samples[kind].push(await allAtOnce(chains[kind]));
  }
  const figures = (kind: Kind) => ({
    ...percentiles(samples[kind].flatMap(({ addMs }) => addMs)),
    delete: percentiles(samples[kind].flatMap(({ deleteMs }) => deleteMs)),
    allMs: samples[kind].map(({ allMs }) => round(allMs)),
  });
  const [ours, reference] = [figures("ours"), figures("reference")];
  const [oursWithoutPort, ptp] = [figures("oursWithoutPort"), figures("ptp")];
  const ratio = ratioOf(ours, reference);
  return {
    bench: "cni-add-parallel",
    unit: `milliseconds from exec to result, ${atOnce} at once with one host port each (p50; the ratio is the worse of p50 and p99)`,
    ours: ours.p50Ms,
    floor: null,
    rivals: { reference: reference.p50Ms },
    ratio: { reference: Math.max(ratio.p50, ratio.p99) },
    growth: [],
    details: {
      aim,
      ratio,
      ours,
      reference,
      withoutHostPort: { ours: oursWithoutPort, ptp, ratio: ratioOf(oursWithoutPort, ptp) },
    },
  };
}

async function allAtOnce(chains: readonly Chain[]): Promise<Round> {
  const start = performance.now();
  const added: readonly Added[] = await Promise.all(chains.map(addAll));
  const allMs = performance.now() - start;
  const deleteMs = await Promise.all(chains.map((chain, i) => deleteAll(chain, added[i]?.result)));
  return { addMs: added.map(({ tookMs }) => tookMs), deleteMs, allMs };
}
