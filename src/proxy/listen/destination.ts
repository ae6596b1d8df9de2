/**
 * Where an accepted connection wanted to go, and which listener that makes it one of.
 *
 * The kernel says it of a captured connection; of any other it is the address that was connected to.
 */

import type { Socket } from "node:net";
import type { ListenerTable } from "../config/tables.ts";
import type { Destination, Runtime } from "./runtime.ts";

export interface Arrival {
  readonly destination: Destination;
  readonly listener: ListenerTable;
}

/** Undefined: it was meant for the capture port itself, and forwarding it would lead back here for ever. */
export function arrivalOf(
  runtime: Runtime,
  accepted: Socket,
  descriptor: number,
  bound: ListenerTable,
): Arrival | undefined {
  const own = plainAddress(accepted.localAddress ?? "");
  if (!bound.useOriginalDestination) {
    return { destination: { address: own, port: accepted.localPort ?? 0 }, listener: bound };
  }
  const { address, port } = runtime.originalDestination(descriptor) ?? {
    address: own,
    port: accepted.localPort ?? 0,
  };
  if (port === bound.port && address === own) return undefined;
  const listener = runtime.tables.virtualListener(bound.direction, address, port) ?? bound;
  return { destination: { address, port }, listener };
}

/** IPv4 without the IPv6 mapping that a dual-stack socket shows. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
