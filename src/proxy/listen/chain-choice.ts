/**
 * Which filter chain takes a connection: by destination port, then transport, then application protocol, each step
 * keeping only the most specific matches (Envoy's order, without going back).
 */

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

export function forTransport(chains: Chains, transport: "tls" | "raw"): Chains {
  return mostSpecific(
    chains,
    (chain) => chain.match.transport === transport,
    (chain) => chain.match.transport === undefined,
  );
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
