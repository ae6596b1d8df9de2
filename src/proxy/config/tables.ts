/**
 * A configuration made ready to run: what the data path looks things up in.
 *
 * Immutable but for the clusters, which live on from one configuration to the next. Connections hold the names of their
 * listener and chain and look the chain up anew for each request, so switching tables switches every connection.
 */

import type { SecureContext } from "node:tls";
import type { Cidr } from "../../base/ip.ts";
import type {
  Direction,
  DownstreamTls,
  FilterChainMatch,
  Listener,
  ProxyConfig,
  Secret,
} from "../../model/proxy-config.ts";
import type { Handler } from "../stack/handler.ts";
import type { TcpLog } from "../tcp/access-log.ts";
import type { TlsContext } from "../tls/context.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import type { CompiledRbac } from "./matchers.ts";
import type { Destination } from "./route-table.ts";
import type { TlsContexts } from "./tls-contexts.ts";

export interface Tables {
  readonly version: string;
  readonly config: ProxyConfig;
  readonly secrets: readonly Secret[];
  readonly listeners: readonly ListenerTable[];
  readonly clusters: ReadonlyMap<string, ClusterRuntime>;
  readonly contexts: TlsContexts;
  /**
   * The listener of this direction that takes connections to an original destination; undefined: the bound listener
   * itself does. A port that the pod serves may be one that it calls, too: directions are never mixed.
   */
  virtualListener(direction: Direction, address: string, port: number): ListenerTable | undefined;
  chain(listener: string, chain: string): CompiledChain | undefined;
}

export interface ListenerTable {
  readonly name: string;
  readonly direction: Direction;
  readonly address: string;
  readonly port: number;
  readonly bindToPort: boolean;
  readonly useOriginalDestination: boolean;
  readonly proxyProtocol: Listener["proxyProtocol"] | undefined;
  readonly chains: readonly CompiledChain[];
  readonly defaultChain: CompiledChain | undefined;
}

export interface ChainTls {
  /** Undefined: what users keep for it is missing or broken; the chain closes its connections. */
  readonly context: TlsContext | SecureContext | undefined;
  readonly alpn: readonly string[];
  readonly requireClientCertificate: boolean;
  readonly asksForCertificate: boolean;
  readonly clients: DownstreamTls["clients"];
}

interface ChainBase {
  readonly name: string;
  readonly match: FilterChainMatch;
  /** Destinations of `match`, parsed. */
  readonly prefixes: readonly Cidr[] | undefined;
  readonly tls: ChainTls | undefined;
  /** L4 authorization. */
  readonly rbac: readonly CompiledRbac[];
}

export interface HttpChain extends ChainBase {
  readonly kind: "http";
  readonly handle: Handler;
}

export interface TcpChain extends ChainBase {
  readonly kind: "tcp";
  readonly destinations: readonly Destination[];
  readonly idleTimeoutMs: number;
  /** Told of each connection that is over, or not let in. */
  readonly log: TcpLog | undefined;
}

export type CompiledChain = HttpChain | TcpChain;
