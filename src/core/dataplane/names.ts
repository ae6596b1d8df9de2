/**
 * Names of chains, and the log prefixes by which a dropped packet finds its way back to a reason.
 *
 * A prefix is `heddle deny <direction> <identity>` where a policy's isolation decided (`unknown` in place of the
 * identity for a pod that the view does not know), or `heddle drop <reason>` where admission did.
 *
 * Prefix and packet go to an NFLOG group, which the agent reads; drop-reason.ts says in words what a prefix means.
 */

export type Direction = "ingress" | "egress";

/** The NFLOG group that all drops go to. */
export const dropLogGroup = 1;

export type DropReason =
  /** The source address is not the pod's. */
  | "spoofed-source"
  /** The packet came from or goes to a link that is named like ours and belongs to no attached pod. */
  | "unknown-link"
  /** A pod sent an overlay packet of its own: it could pretend to be any other. */
  | "overlay-from-pod"
  /** From a pod or to one, on its way between nodes beside the encrypted overlay. */
  | "unencrypted"
  /** A pod sent to a loopback address: beyond its link that is the node's own. */
  | "loopback-from-pod"
  /** The client is in none of the ranges that may use the Service's load balancer address. */
  | "source-range"
  /** The Service asks for an endpoint on this node, and only other nodes have one. */
  | "no-local-endpoint"
  /** An address of the Services' range that no Service has. */
  | "no-service";

const dropReasons: readonly DropReason[] = [
  "spoofed-source",
  "unknown-link",
  "overlay-from-pod",
  "unencrypted",
  "loopback-from-pod",
  "source-range",
  "no-local-endpoint",
  "no-service",
];

export type Drop =
  | {
      readonly kind: "policy";
      readonly direction: Direction;
      /** Undefined for an attached pod that the view does not know. */
      readonly identity?: number;
    }
  | { readonly kind: "admission"; readonly reason: DropReason };

/** `egress-7dc0e3`: the chain that decides for one isolated identity, and the start of its sets' names. */
export function policyChain(direction: Direction, identity: number | undefined): string {
  return `${direction}-${identity === undefined ? "unknown" : identityDigits(identity)}`;
}

/** An identity as a packet mark in nft's text. */
export function identityMark(identity: number): string {
  return `0x${identity.toString(16).padStart(8, "0")}`;
}

/** The statements that log a packet with its reason and drop it. */
export function logAndDrop(drop: Drop): string {
  return `log prefix "${renderDrop(drop)}" group ${dropLogGroup} drop`;
}

export function renderDrop(drop: Drop): string {
  if (drop.kind === "admission") return `heddle drop ${drop.reason}`;
  const who = drop.identity === undefined ? "unknown" : identityDigits(drop.identity);
  return `heddle deny ${drop.direction} ${who}`;
}

/** Reads a log prefix back; undefined where it is not one of ours. */
export function parseDrop(prefix: string): Drop | undefined {
  const policy = /^heddle deny (ingress|egress) (unknown|[0-9a-f]{6})\b/.exec(prefix);
  if (policy !== null) {
    const direction = policy[1] === "ingress" ? "ingress" : "egress";
    return policy[2] === undefined || policy[2] === "unknown"
      ? { kind: "policy", direction }
      : { kind: "policy", direction, identity: Number.parseInt(policy[2], 16) };
  }
  const word = /^heddle drop ([a-z-]+)/.exec(prefix)?.[1];
  const reason = dropReasons.find((each) => each === word);
  return reason === undefined ? undefined : { kind: "admission", reason };
}

function identityDigits(identity: number): string {
  return identity.toString(16).padStart(6, "0");
}
