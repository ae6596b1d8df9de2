/**
 * Where a sidecar's configuration comes from: a stream of complete snapshots, each accepted or rejected by version.
 *
 * A snapshot is whole by contract: it is switched to in one step or refused in one step, never applied in part. The
 * proxy keeps the last one it accepted for as long as it lives, so a source that falls silent stops nothing.
 *
 * Not here: how snapshots travel (xds-source.ts), and what is made of them (build.ts).
 */

import type { ProxyConfig, Secret } from "../../model/proxy-config.ts";

export interface ProxySnapshot {
  readonly version: string;
  readonly config: ProxyConfig;
  readonly secrets: readonly Secret[];
}

export interface ConfigSource {
  /** Complete snapshots, newest last; a consumer that is slow sees only the newest. */
  snapshots(signal: AbortSignal): AsyncIterable<ProxySnapshot>;
  /** The snapshot is in force. */
  accept(version: string): void;
  /** The snapshot cannot be built and the one before it stays in force; `error` says why. */
  reject(version: string, error: string): void;
}
