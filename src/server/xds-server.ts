/** What the server starts to push configuration, and what it needs to know of it: the seam to server/xds. */

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Secret } from "../base/secret.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { WorldSource } from "./world-source.ts";

export interface XdsServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls: { readonly keyPem: Secret<string>; readonly certPem: string };
  readonly world: WorldSource;
  /** Whom a bearer token speaks for. */
  readonly authenticate: (token: string) => { readonly node: string } | undefined;
  /** The chain, PEM, leaf first. */
  readonly issueCertificate: (csrPem: string, identity: string) => Promise<readonly string[]>;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
}

export interface XdsServer {
  readonly port: number;
  close(): Promise<void>;
  status(): readonly XdsClientStatus[];
  /** Resolves when every connected client has taken or refused a World of at least this version. */
  waitForVersion(version: number, signal: AbortSignal): Promise<unknown>;
}

/** Where one connected client stands. */
export interface XdsClientStatus {
  readonly id: string;
  /** Highest version of the World that it has answered, either way. */
  readonly settled?: number;
  /** The last version it refused, and why; absent once it has taken a later one. */
  readonly rejected?: { readonly version: number; readonly error: string };
}

export type StartXdsServer = (options: XdsServerOptions) => Promise<XdsServer>;
