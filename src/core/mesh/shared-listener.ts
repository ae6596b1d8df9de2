/**
 * What several destinations of one port share: the listener `0.0.0.0_<port>`.
 *
 * A connection is told by the range that its address is in, by the name in its ClientHello, or by being HTTP, whose
 * host is then looked at. Opaque connections of no known address go to the one ServiceEntry that asks for the port, if
 * there is one; else they are unknown.
 */

import type { FilterChain, Listener } from "../../model/proxy-config.ts";
import { withoutTaken } from "./tcp-routes.ts";

/** One destination's part of it. */
export interface SharedPart {
  readonly http?: FilterChain;
  /** By server name. */
  readonly named?: readonly FilterChain[];
  /** By destination. */
  readonly ranged?: readonly FilterChain[];
  /** Everything that is left. */
  readonly rest?: FilterChain;
}

/** `parts` in order of precedence, at least one. */
export function sharedListener(
  port: number,
  parts: readonly SharedPart[],
  unknown: FilterChain,
): Listener {
  const http = commonChain(parts.flatMap((part) => part.http ?? []));
  const rest = parts.find((part) => part.rest !== undefined)?.rest;
  return {
    name: `0.0.0.0_${port}`,
    direction: "outbound",
    address: "0.0.0.0",
    port,
    bindToPort: false,
    useOriginalDestination: false,
    filterChains: [
      ...(http === undefined ? [] : [http]),
      ...withoutTaken(parts.flatMap(({ named = [] }) => named)),
      ...parts.flatMap(({ ranged = [] }) => ranged),
    ],
    defaultFilterChain: rest ?? unknown,
  };
}

/**
 * The chain for all HTTP of a port, which one part cannot have to itself. What one would have translated, another may
 * speak: gRPC-Web is left alone unless it is nobody's own.
 */
export function commonChain(chains: readonly FilterChain[]): FilterChain | undefined {
  return chains.find((chain) => !translatesGrpcWeb(chain)) ?? chains[0];
}

function translatesGrpcWeb({ filter }: FilterChain): boolean {
  return filter.kind === "http" && filter.translatesGrpcWeb === true;
}
