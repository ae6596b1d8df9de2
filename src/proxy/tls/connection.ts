/**
 * TLS of one connection, by OpenSSL, without a socket: bytes off the wire in, what they say out, and the other way round.
 *
 * OpenSSL does all of the protocol: handshake, verification, records, tickets, key updates, alerts, their limits. It reads
 * and writes two pieces of memory that all connections share: nothing is left in them when a call returns, for what
 * arrives is taken in whole (part of a record is kept by the connection itself) and what leaves is taken out. So an idle
 * connection holds no buffer at all. Were it otherwise, one connection's records would break another; they could not be
 * read there.
 *
 * Whoever uses it must `close` it; nothing else gives its memory back.
 *
 * Not here: the socket, and who is told of what (codec/transport.ts).
 */

import { X509Certificate } from "node:crypto";
import { MeshError } from "../../base/error.ts";
import { takeAll } from "./calls/bios.ts";
import {
  SSL_ERROR_WANT_READ,
  SSL_ERROR_ZERO_RETURN,
  SSL_KEY_UPDATE_NOT_REQUESTED,
  SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
  SSL_VERIFY_PEER,
} from "./calls/connections.ts";
import type { Pointer } from "./calls/library.ts";
import { speaking, type TlsContext } from "./context.ts";
import { type OpenSsl, openSsl } from "./openssl.ts";

/** Of one read off the wire; with what the connection kept of a record before, it says less than `maxPlainBytes`. */
export const maxWireBytes: number = 64 * 1024;
export const maxPlainBytes: number = maxWireBytes + 20 * 1024;
/** What `seal` takes at a time, and the most that comes of it: 22 bytes more a record, and a change of keys before it. */
export const maxSealedAtOnce: number = 64 * 1024;
export const maxSealedBytes: number = maxSealedAtOnce + 4 * 1024;

/**
 * How many records one key protects: AES-GCM is good for 2^24.5 of the full size (RFC 8446 §5.5), and OpenSSL, which
 * does not count them, changes keys when it is told to.
 */
const recordsPerKey = 2 ** 24;
const recordBytes = 16 * 1024;

/**
 * Records without data (tickets, changes of keys), in one read off the wire or in many; a read that brings data makes up for
 * one. BoringSSL bears as many in a row. Each costs its sender little and its reader 40 µs: a read full of them held the
 * whole process for a tenth of a second, and a megabyte a second of short reads all of a core.
 */
const maxRecordsWithoutData = 32;

export interface ServerOptions {
  readonly alpn: readonly string[];
  readonly asksForCertificate: boolean;
  readonly requireClientCertificate: boolean;
}

export interface ClientOptions {
  readonly alpn: readonly string[];
  /** "" for none. */
  readonly sni: string;
  readonly isVerified: boolean;
  /** From `onSession` of a connection to the same peer. */
  readonly session?: Buffer;
  /** Told of what the next connection to this peer can go on from; best used once each (RFC 8446 §C.4). */
  readonly onSession: (session: Buffer) => void;
}

/** `output`: what is to be sent now, if anything. */
export type Step =
  | { readonly kind: "going-on" | "done"; readonly output: Buffer }
  | { readonly kind: "broken"; readonly output: Buffer; readonly error: MeshError };

export class TlsConnection {
  readonly #calls: OpenSsl;
  /** 0 once it is freed. */
  #pointer: Pointer;
  /** Until the handshake is over. */
  #protocols: Buffer | undefined;
  readonly #recordsPerKey: number;
  #onSession: ((session: Buffer) => void) | undefined;
  #records = 0;
  /** Records without data, less those that data made up for. */
  #withoutData = 0;
  #reply: Buffer | undefined;
  /** The peer has said that it sends nothing more: its close_notify. */
  hasPeerClosed = false;
  /**
   * The peer has sent part of a message of TLS' own, a ticket mostly. OpenSSL writes nothing before it has the rest: neither
   * `seal` nor `end` may be called until an `open` has said otherwise.
   */
  isInMidMessage = false;
  /** What broke it; nothing more can be read. */
  error: MeshError | undefined;

  private constructor(context: TlsContext, alpn: readonly string[], keyLife: number) {
    this.#calls = openSsl();
    this.#recordsPerKey = keyLife;
    this.#protocols = alpn.length === 0 ? undefined : protocolList(alpn);
    this.#pointer = this.#calls.newConnection(context.pointer);
    const { arriving, leaving } = memory(this.#calls);
    this.#calls.setBios(this.#ssl, arriving, leaving);
  }

  static accept(context: TlsContext, options: ServerOptions, keyLife?: number): TlsConnection {
    const made = new TlsConnection(context, options.alpn, keyLife ?? recordsPerKey);
    made.#calls.setServer(made.#ssl);
    const required = options.requireClientCertificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    if (options.asksForCertificate) {
      made.#calls.verifyPeer(made.#ssl, SSL_VERIFY_PEER | required);
    }
    return made;
  }

  static connect(context: TlsContext, options: ClientOptions, keyLife?: number): TlsConnection {
    const made = new TlsConnection(context, options.alpn, keyLife ?? recordsPerKey);
    const calls = made.#calls;
    calls.setClient(made.#ssl);
    if (options.isVerified) calls.verifyPeer(made.#ssl, SSL_VERIFY_PEER);
    if (options.sni !== "") calls.setServerName(made.#ssl, options.sni);
    if (made.#protocols !== undefined) calls.offerProtocols(made.#ssl, made.#protocols);
    if (options.session !== undefined) calls.goOnFrom(made.#ssl, options.session);
    made.#onSession = options.onSession;
    return made;
  }

  /** Goes on with the handshake by what arrived, if anything did. */
  handshake(bytes?: Buffer, length = 0): Step {
    const calls = this.#calls;
    if (this.error !== undefined) return { kind: "broken", output: nothing, error: this.error };
    const ssl = this.#ssl;
    if (bytes !== undefined) this.#putIn(bytes, length);
    calls.clearErrors();
    const result = speaking(this.#protocols, () => calls.handshake(ssl));
    const output = this.#takeOut();
    if (result === 1) {
      calls.forgetEphemeralKeys(ssl);
      this.#protocols = undefined;
      return { kind: "done", output };
    }
    const isWaiting = calls.errorOf(ssl, result) === SSL_ERROR_WANT_READ;
    if (isWaiting) return { kind: "going-on", output };
    const problem = calls.verifyProblem(ssl) ?? calls.errorReason();
    return { kind: "broken", output, error: this.#break(problem) };
  }

  /**
   * Takes in `bytes[0, length)` off the wire (none right after the handshake, which may have left some) and writes what
   * they say to `into`, which has room for `maxPlainBytes`. Returns how much that is; `hasPeerClosed` and `error` say whether
   * anything can follow, `takeReply` what is to be sent then.
   */
  open(bytes: Buffer | undefined, length: number, into: Buffer): number {
    const calls = this.#calls;
    const ssl = this.#ssl;
    // What nobody would take out of the shared memory must not get in.
    if (this.hasPeerClosed || this.error !== undefined) return 0;
    if (bytes !== undefined) this.#putIn(bytes, length);
    const { arriving, leaving } = memory(calls);
    calls.clearErrors(); // others' would be taken for this one's
    let filled = 0;
    let hasRead = false; // at last
    while (!this.hasPeerClosed && this.error === undefined) {
      const read = calls.read(ssl, into, filled, into.length - filled);
      hasRead = read > 0;
      if (hasRead) {
        filled += read;
        if (calls.bio.pending(arriving) === 0) break;
      } else if (this.#isWaiting(read)) {
        if (calls.bio.pending(arriving) === 0) break;
        this.#withoutData++;
        if (this.#withoutData > maxRecordsWithoutData) this.#break("too many records without data");
      }
    }
    this.isInMidMessage = !hasRead && this.error === undefined && calls.isInHandshake(ssl);
    if (filled > 0 && this.#withoutData > 0) this.#withoutData--;
    if (calls.bio.pending(leaving) > 0) this.#reply = this.#takeOut();
    if (this.#onSession !== undefined) this.#tellSession(filled > 0);
    return filled;
  }

  /** Nothing was read. False: and nothing will be. */
  #isWaiting(result: number): boolean {
    const calls = this.#calls;
    const error = calls.errorOf(this.#ssl, result);
    if (error === SSL_ERROR_WANT_READ) return true;
    if (error === SSL_ERROR_ZERO_RETURN) this.hasPeerClosed = true;
    else this.#break(calls.errorReason());
    calls.bio.empty(memory(calls).arriving); // nobody reads what may follow
    return false;
  }

  /** What `open` has found to be sent: an alert, mostly. */
  takeReply(): Buffer | undefined {
    const reply = this.#reply;
    this.#reply = undefined;
    return reply;
  }

  /** Tickets come with the first bytes, or before them. */
  #tellSession(isLast: boolean): void {
    const session = this.#calls.sessionOf(this.#ssl);
    const tell = this.#onSession;
    if (isLast || session !== undefined) this.#onSession = undefined;
    if (session !== undefined) tell?.(session);
  }

  /**
   * Writes `bytes[at, at + length)`, at most `maxSealedAtOnce`, as records to `into`, which has room for `maxSealedBytes`.
   * Returns how much that is.
   */
  seal(bytes: Uint8Array, at: number, length: number, into: Buffer): number {
    const calls = this.#calls;
    this.#records += Math.ceil(length / recordBytes);
    if (this.#records > this.#recordsPerKey) {
      this.#records = 0;
      calls.updateKey(this.#ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    }
    if (calls.write(this.#ssl, bytes, at, length) !== length) this.#break(calls.errorReason());
    return Math.max(0, calls.bio.take(memory(calls).leaving, into, 0, into.length));
  }

  /** Says that nothing more is sent; what is to be sent for that. Reading goes on. */
  end(): Buffer {
    this.#calls.clearErrors();
    this.#calls.shutdown(this.#ssl);
    return this.#takeOut();
  }

  /**
   * The peer has done what it must not, outside of TLS: ended the wire without its word, say, so that what has come may be
   * part of what was sent.
   */
  breakOff(reason: string): MeshError {
    return this.#break(reason);
  }

  /** Gives its memory back. */
  close(): void {
    if (this.#pointer !== 0) this.#calls.freeConnection(this.#pointer);
    this.#pointer = 0;
  }

  /** Throws MeshError `heddle.assumption` once it is closed: OpenSSL would read and write what is others' by then. */
  get #ssl(): Pointer {
    if (this.#pointer !== 0) return this.#pointer;
    throw new MeshError("heddle.assumption", "use TLS of a connection that is closed");
  }

  // ---- what the handshake settled --------------------------------------------------------------

  /** By ALPN. */
  get protocol(): string | undefined {
    return this.#calls.protocolOf(this.#ssl);
  }

  /** It went on from a session. */
  get isResumed(): boolean {
    return this.#calls.isResumed(this.#ssl);
  }

  get peerCertificate(): X509Certificate | undefined {
    const der = this.#calls.peerCertificate(this.#ssl);
    return der === undefined ? undefined : new X509Certificate(der);
  }

  /** Why the peer's certificate was not accepted. */
  get verifyProblem(): string | undefined {
    return this.#calls.verifyProblem(this.#ssl);
  }

  #putIn(bytes: Buffer, length: number): void {
    this.#calls.bio.put(memory(this.#calls).arriving, bytes, 0, length);
  }

  #takeOut(): Buffer {
    return takeAll(this.#calls.bio, memory(this.#calls).leaving);
  }

  #break(reason: string): MeshError {
    const calls = this.#calls;
    calls.clearErrors();
    calls.bio.empty(memory(calls).arriving);
    this.error = new MeshError(
      "proxy.tls.broken",
      `speak TLS with a peer: ${reason === "" ? "the connection broke" : reason}`,
      { fault: "peer" },
    );
    return this.error;
  }
}

const nothing = Buffer.alloc(0);

interface Memory {
  readonly arriving: Pointer;
  readonly leaving: Pointer;
}

let shared: Memory | undefined;

function memory({ bio }: OpenSsl): Memory {
  shared ??= { arriving: bio.newMemory(), leaving: bio.newMemory() };
  return shared;
}

/** Each name behind its length (RFC 7301 §3.1). */
function protocolList(names: readonly string[]): Buffer {
  const parts = names.map((name) => Buffer.from(name, "latin1"));
  const list = Buffer.allocUnsafeSlow(parts.reduce((sum, { length }) => sum + 1 + length, 0));
  let at = 0;
  for (const part of parts) {
    list[at] = part.length;
    at += 1 + part.copy(list, at + 1);
  }
  return list;
}
