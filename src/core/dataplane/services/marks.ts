/**
 * What the Services' chains write on a packet and its connection while they decide, and how a number is laid out.
 *
 * Packet mark: the group of endpoints that the connection is for, with flags that say how its address may be reached;
 * the flags are taken off as they are obeyed. Connection mark: how to choose among the group's endpoints; then the
 * group again, where a client keeps its endpoint. Both are 0 again right after (chains `services-settled-…`), so policy
 * and routing never see them.
 *
 * Connection labels outlive the decision: they say until the connection's end that a Service was asked, and that the
 * source becomes a node's address. A mark could not: policy needs it between prerouting and postrouting.
 */

import { serviceLabels } from "../../../model/names.ts";

/** One Service port of one family: 1 to 2^27 - 1. */
export type PortNumber = number;

export const portNumberLimit: number = 2 ** 27;

/** The group of a port's endpoints: all of them, or those on this node. */
export function groupMark(port: PortNumber, local: boolean): number {
  return port * 2 + (local ? 1 : 0);
}

export const flags = {
  /** Reached from outside, and only endpoints of the node it arrives at may answer. */
  externalLocal: 0x80000000,
  /** Reached from outside: only the ranges that the Service names may use it. */
  sourceRanges: 0x40000000,
  /** Reached from outside, and any endpoint may answer. */
  externalCluster: 0x20000000,
} as const;

/** What is left when all flags are taken off. */
const groupMask = 0x0fffffff;

export const localBit = "0x00000001";

export function renderMark(mark: number): string {
  return `0x${mark.toString(16).padStart(8, "0")}`;
}

export function hasFlag(flag: number): string {
  return `meta mark & ${renderMark(flag)} == ${renderMark(flag)}`;
}

export const dropFlags: string = `meta mark set meta mark & ${renderMark(groupMask)}`;

export const noteService: string = `ct label set ${serviceLabels.asked}`;

export const noteMasquerade: string = `ct label set ${serviceLabels.masquerade}`;
