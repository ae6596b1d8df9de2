/**
 * What compiled policy says of one connection: the meaning of IdentityPolicy, written once for people and tests.
 *
 * The data plane is a lowering of exactly this; `evaluate.ts` says the same from the objects that users wrote. The
 * three must agree, and tests hold them to it.
 */

import { cidrContains } from "../../base/ip.ts";
import type {
  AllowRule,
  DirectionPolicy,
  IdentityPolicy,
  PortMatch,
  Protocol,
} from "../../model/node-view.ts";

/** One end of a connection as packets show it; identity 0 is everything that is not a pod. */
export interface PacketEnd {
  readonly address: string;
  readonly identity: number;
}

export type TransportProtocol = Protocol | "ICMP";

export interface DirectionOutcome {
  /** Policies that isolate; empty where none does, and then everything is allowed. */
  readonly isolatedBy: readonly string[];
  readonly allowedBy?: AllowRule;
}

export interface Interpretation {
  readonly verdict: "allow" | "deny";
  readonly egress: DirectionOutcome;
  readonly ingress: DirectionOutcome;
}

export function interpretPolicies(
  policies: ReadonlyMap<number, IdentityPolicy>,
  from: PacketEnd,
  to: PacketEnd,
  protocol: TransportProtocol,
  port: number,
): Interpretation {
  const egress = outcome(policies.get(from.identity)?.egress, to, protocol, port);
  const ingress = outcome(policies.get(to.identity)?.ingress, from, protocol, port);
  // Nothing can keep a pod from itself.
  const self = from.identity !== 0 && from.address === to.address;
  return {
    verdict: self || (passes(egress) && passes(ingress)) ? "allow" : "deny",
    egress,
    ingress,
  };
}

function passes(direction: DirectionOutcome): boolean {
  return direction.isolatedBy.length === 0 || direction.allowedBy !== undefined;
}

function outcome(
  policy: DirectionPolicy | undefined,
  peer: PacketEnd,
  protocol: TransportProtocol,
  port: number,
): DirectionOutcome {
  if (policy === undefined) return { isolatedBy: [] };
  const rule = policy.allow.find(
    (each) => matchesPeer(each, peer) && matchesPort(each.ports, protocol, port),
  );
  return {
    isolatedBy: policy.isolatedBy,
    ...(rule === undefined ? {} : { allowedBy: rule }),
  };
}

function matchesPeer({ peers }: AllowRule, peer: PacketEnd): boolean {
  if (peers.kind === "any") return true;
  if (peer.identity !== 0 && peers.identities.includes(peer.identity)) return true;
  return peers.blocks.some(
    ({ cidr, except }) =>
      cidrContains(cidr, peer.address) && !except.some((hole) => cidrContains(hole, peer.address)),
  );
}

function matchesPort(match: PortMatch, protocol: TransportProtocol, port: number): boolean {
  if (match.kind === "any") return true;
  return match.ports.some(
    (range) =>
      range.protocol === protocol &&
      (range.first === undefined || (range.first <= port && port <= (range.last ?? range.first))),
  );
}
