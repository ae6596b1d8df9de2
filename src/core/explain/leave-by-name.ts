/**
 * What NetworkPolicy says of a connection whose destination is a name that only the outside can look up.
 *
 * Rules that let everybody through on the port, and none, decide whatever the name leads to. Blocks of addresses do
 * not: then it is said that they will, and whoever wants to know asks for the address.
 */

import type { Pod } from "../../api/k8s/core.ts";
import type { AllowRule, IdentityPolicy } from "../../model/node-view.ts";
import { viewFor } from "../registry/view.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectKey, type World } from "../registry/world.ts";
import type { BranchVerdict, Candidate, Decider, Step } from "./explanation.ts";
import { type PacketQuestion, policySteps } from "./network-policy.ts";
import { seenDropped, type Via } from "./seen.ts";
import { refusal } from "./verdict.ts";

/** Nobody's: for questions whose answer is the same for all addresses outside that no block has. */
const somewhere = { kind: "address", address: "192.0.2.0" } as const;

export function leaveByName(
  world: World,
  source: Pod,
  from: PacketQuestion["from"],
  { address, port }: Candidate,
  via: Via,
): { readonly steps: readonly Step[]; readonly verdict: BranchVerdict } {
  const isolation = egressOf(world, source);
  const rules = (isolation?.allow ?? []).filter((rule) => isForPort(rule, port));
  const blocks = rules.filter(({ peers }) => peers.kind === "some" && peers.blocks.length > 0);
  if (blocks.length > 0 && !rules.some(({ peers }) => peers.kind === "any")) {
    const by = blocks.map(({ policy }): Decider => ({ kind: "NetworkPolicy", name: policy }));
    const detail = `the blocks of ${blocks.map(({ policy }) => policy).join(", ")} decide, by what ${address} leads to: ask for ADDRESS:${port}`;
    return { steps: [{ step: "egress policy", outcome: "pass", by, detail }], verdict: allowed };
  }
  const question = { from, to: somewhere, protocol: "TCP", port } as const;
  const [egress] = policySteps(world, { ...question, source: objectKey(source) });
  const steps = egress === undefined ? [] : [egress.step];
  if (egress?.refusal === undefined) return { steps, verdict: allowed };
  return { steps, verdict: refusal("egress policy", seenDropped(via), egress.refusal) };
}

const allowed: BranchVerdict = { outcome: "allowed", sentence: "allowed" };

function egressOf(world: World, source: Pod): IdentityPolicy["egress"] {
  const view = viewFor(world, source.spec.nodeName ?? "");
  const workload = view.workloads.find(
    (one) => one.name === source.metadata.name && one.namespace === namespaceOf(source),
  );
  return view.policies.find(({ identity }) => identity === workload?.identity)?.egress;
}

function isForPort({ ports }: AllowRule, port: number): boolean {
  if (ports.kind === "any") return true;
  return ports.ports.some(({ protocol, first, last = first }) => {
    if (protocol !== "TCP") return false;
    return first === undefined || (port >= first && port <= (last ?? first));
  });
}
