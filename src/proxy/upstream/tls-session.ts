/**
 * The last TLS session with a host, so that its next connection is spared the signatures of a full handshake.
 *
 * Good only for the very context (certificate, roots) and the very demands on the peer under which it was made: whoever
 * the peer was verified to be then, it is the same who holds the key to the ticket now. And good only for as long as
 * the peer's certificate: nobody looks at that again but in a full handshake. Bench: bench/mtls-handshake.ts.
 */

import type { X509Certificate } from "node:crypto";
import type { ClusterTls } from "./cluster.ts";

export class TlsSession {
  #context: ClusterTls["context"] | undefined;
  #identity = "";
  #ticket: Buffer | undefined;
  /** Since the epoch. */
  #peerEndsMs = 0;

  /** What a connection under these settings may go on from; `nowMs` since the epoch. */
  for(tls: ClusterTls, nowMs: number): { readonly session?: Buffer } {
    const isSame = this.#context === tls.context && this.#identity === tls.identity;
    const isGood = isSame && nowMs <= this.#peerEndsMs;
    return isGood && this.#ticket !== undefined ? { session: this.#ticket } : {};
  }

  /** The newest counts: each is best used once (RFC 8446 §C.4). */
  keep(ticket: Buffer, tls: ClusterTls, peer: X509Certificate | undefined): void {
    this.#context = tls.context;
    this.#identity = tls.identity;
    this.#ticket = ticket;
    const ends = tls.isVerified ? peer?.validToDate.getTime() : undefined;
    this.#peerEndsMs = ends ?? Number.POSITIVE_INFINITY;
  }
}
