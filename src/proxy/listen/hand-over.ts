/**
 * A chain takes a connection: the L4 rules are asked, and whoever reads it from here on is made.
 *
 * Nothing here may keep what found the chain (incoming.ts) alive for as long as the connection lives: closures are made
 * where nothing else is at hand.
 */

import { type ChainLookup, HttpDownstream } from "../codec/downstream.ts";
import { Http2Downstream } from "../codec/http2/downstream.ts";
import type { Transport } from "../codec/transport.ts";
import { refusal, type Subject } from "../config/matchers.ts";
import type { CompiledChain, HttpChain, ListenerTable, TcpChain } from "../config/tables.ts";
import type { Environment } from "../environment.ts";
import type { Peer } from "../peer.ts";
import { TcpConnection } from "../tcp/connection.ts";
import { HttpEntry, type HttpVersion, httpVersion, negotiatedVersion } from "./http-entry.ts";
import type { Runtime } from "./runtime.ts";

/** A connection of which everything is known that tells chains apart. */
export interface Known {
  readonly runtime: Runtime;
  readonly listener: ListenerTable;
  readonly transport: Transport;
  readonly peer: Peer;
  /** What was read already. */
  readonly first: Buffer | undefined;
  readonly hasEnded: boolean;
  /** The client was silent: under this the server is remembered, should it speak first. */
  readonly silentUnder: string | undefined;
}

/** Whether the chain's L4 rules let the peer connect. A refusal is logged. */
export function admits(chain: CompiledChain, peer: Peer, environment: Environment): boolean {
  const policy = refusal(chain.rbac, connectionSubject(peer));
  if (policy === undefined) return true;
  environment.log.debug("deny connection", {
    policy,
    source: peer.principal ?? peer.sourceAddress,
    port: peer.destinationPort,
  });
  if (chain.kind === "tcp") {
    chain.log?.({
      peer,
      startedAt: environment.now(),
      receivedBytes: 0,
      sentBytes: 0,
      flag: "-",
      details: `rbac_access_denied_matched_policy[${policy}]`,
    });
  }
  return false;
}

export function handOver(chain: CompiledChain, connection: Known): void {
  if (chain.kind === "http") startHttp(chain, connection);
  else startTcp(chain, connection);
}

function startHttp(chain: HttpChain, connection: Known): void {
  const { runtime, listener, transport, peer, hasEnded } = connection;
  const lookUp = chainLookup(runtime, listener.name, chain.name);
  const { connections, environment } = runtime;
  const leave = connections.forget;
  const start = (version: HttpVersion, first: Buffer, length: number) => {
    const downstream =
      version === "http/2"
        ? new Http2Downstream(transport, peer, lookUp, environment, leave)
        : new HttpDownstream(transport, peer, lookUp, environment, leave);
    connections.add(downstream);
    transport.reader = downstream;
    downstream.onBytes(first, length);
    // A handshake that began before: it must not outstay the others.
    if (environment.isDraining) downstream.retire();
    if (hasEnded) downstream.onEnd();
  };
  const first = connection.first ?? nothing;
  const version = hasEnded
    ? "http/1.1"
    : (negotiatedVersion(transport) ?? httpVersion(first, first.length));
  if (version !== undefined) {
    start(version, first, first.length);
    return;
  }
  const { downstreamIdleMs } = environment.limits;
  const entry = new HttpEntry(transport, environment.now(), downstreamIdleMs, start, leave);
  connections.add(entry);
  transport.reader = entry;
  if (first.length > 0) entry.onBytes(first, first.length);
}

function startTcp(chain: TcpChain, connection: Known): void {
  const { runtime, listener, transport, peer, first, hasEnded, silentUnder: key } = connection;
  const { serverFirst } = runtime;
  new TcpConnection({
    runtime,
    transport,
    peer,
    chain,
    direction: listener.direction,
    first,
    hasEnded,
    onServerFirst: key === undefined ? undefined : () => serverFirst.add(key),
  }).start();
}

const nothing = Buffer.alloc(0);

/** The chain of this name in the tables of the moment. */
function chainLookup(runtime: Runtime, listener: string, name: string): ChainLookup {
  return () => {
    const now = runtime.tables.chain(listener, name);
    return now?.kind === "http" ? now : undefined;
  };
}

/** What L4 rules can see: everything of HTTP is absent. */
function connectionSubject(peer: Peer): Subject {
  return {
    path: undefined,
    query: "",
    field: () => undefined,
    anyField: () => false,
    destinationPort: peer.destinationPort,
    sourceAddress: peer.sourceAddress,
    remoteAddress: peer.sourceAddress,
    principal: peer.principal,
  };
}
