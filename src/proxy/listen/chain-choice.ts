/**
 * Which filter chain takes a connection: by destination port, then its address, then transport, then server name, then
 * application protocol, each step keeping only the most specific matches, without going back. (Envoy asks for the
 * server name before the transport, which comes to the same: only TLS has one.)
 */

import { longestPrefix } from "../../base/ip.ts";
import type { CompiledChain, ListenerTable } from "../config/tables.ts";

export type Chains = readonly CompiledChain[];

/** The chains for this port; those without a port only where none names it. */
export function forPort(listener: ListenerTable, port: number): Chains {
  return mostSpecific(
    listener.chains,
    (chain) => chain.match.destinationPort === port,
    (chain) => chain.match.destinationPort === undefined,
  );
}

/** The chains of the longest prefix that the original destination is in; else those that name none. */
export function forDestination(chains: Chains, address: string): Chains {
  if (!chains.some((chain) => chain.prefixes !== undefined)) return chains;
  const reach = ({ prefixes = [] }: CompiledChain): number => longestPrefix(prefixes, address);
  const best = Math.max(...chains.map(reach));
  return chains.filter((chain) =>
    best < 0 ? chain.prefixes === undefined : reach(chain) === best,
  );
}

export function forTransport(chains: Chains, transport: "tls" | "raw"): Chains {
  return mostSpecific(
    chains,
    (chain) => chain.match.transport === transport,
    (chain) => chain.match.transport === undefined,
  );
}

/** The chains for a server name: those that name it, else those of the longest suffix, else those that name none. */
export function forServerName(chains: Chains, name: string | undefined): Chains {
  for (const wanted of name === undefined ? [] : patternsOf(name)) {
    const hits = chains.filter((chain) => chain.match.serverNames?.includes(wanted) === true);
    if (hits.length > 0) return hits;
  }
  return chains.filter((chain) => chain.match.serverNames === undefined);
}

/** `a.b.c`, `*.b.c`, `*.c`. */
function patternsOf(name: string): readonly string[] {
  const labels = name.split(".");
  return [name, ...labels.slice(1).map((_, at) => `*.${labels.slice(at + 1).join(".")}`)];
}

export function needsServerName(chains: Chains): boolean {
  return chains.some((chain) => chain.match.serverNames !== undefined);
}

/** The chain for a protocol that was negotiated or detected; undefined is neither. */
export function forProtocol(
  chains: Chains,
  protocol: string | undefined,
): CompiledChain | undefined {
  return mostSpecific(
    chains,
    (chain) =>
      protocol !== undefined && chain.match.applicationProtocols?.includes(protocol) === true,
    (chain) =>
      chain.match.applicationProtocols === undefined ||
      chain.match.applicationProtocols.length === 0,
  )[0];
}

/** Whether telling these chains apart takes the client's first bytes. */
export function needsFirstBytes(chains: Chains): boolean {
  return chains.some((chain) => chain.match.transport !== undefined) || needsProtocol(chains);
}

export function needsProtocol(chains: Chains): boolean {
  return chains.some((chain) => (chain.match.applicationProtocols?.length ?? 0) > 0);
}

function mostSpecific(
  chains: Chains,
  isSpecific: (chain: CompiledChain) => boolean,
  isGeneral: (chain: CompiledChain) => boolean,
): Chains {
  const specific = chains.filter(isSpecific);
  return specific.length > 0 ? specific : chains.filter(isGeneral);
}
