/**
 * What the agent needs of the server on behalf of its pods' sidecars: configuration and certificates.
 *
 * A port of two calls, so that everything else about sidecars is tested without a server.
 */

import type { Secret } from "../../model/proxy-config.ts";

/** Which pod a call is about; the server accepts only pods that are bound to this node. */
export interface PodReference {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** The secrets of one pod, as the relay serves them: what is there now, and every change. */
export interface SecretSource {
  current(): readonly Secret[];
  changes(signal: AbortSignal): AsyncIterable<readonly Secret[]>;
}

/** A certificate with its key; PEM, leaf first. */
export interface IssuedIdentity {
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface MeshUpstream {
  /** Passes the pod's configuration stream through, and serves its secrets, on a unix socket. */
  relay(pod: PodReference, socketPath: string, secrets: SecretSource): Promise<AsyncDisposable>;
  /** Makes a key on this node and has the server's authority sign for it. */
  issue(pod: PodReference, spiffeId: string, signal: AbortSignal): Promise<IssuedIdentity>;
}
