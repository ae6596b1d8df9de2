/**
 * The last TLS session with a host, so that its next connection is spared the signatures of a full handshake.
 *
 * Good only for the very context (certificate, roots) and the very demands on the peer under which it was made: whoever
 * the peer was verified to be then, it is the same who holds the key to the ticket now. Bench: bench/mtls-handshake.ts.
 */

import type { ClusterTls } from "./cluster.ts";

export class TlsSession {
  #context: ClusterTls["context"] | undefined;
  #identity = "";
  #ticket: Buffer | undefined;

  /** What a connection under these settings may go on from. */
  for(tls: ClusterTls): { readonly session?: Buffer } {
    const isSame = this.#context === tls.context && this.#identity === tls.identity;
    return isSame && this.#ticket !== undefined ? { session: this.#ticket } : {};
  }

  /** The newest counts: each is best used once (RFC 8446 §C.4). */
  keep(ticket: Buffer, { context, identity }: ClusterTls): void {
    this.#context = context;
    this.#identity = identity;
    this.#ticket = ticket;
  }
}
