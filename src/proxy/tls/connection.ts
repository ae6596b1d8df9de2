/**
 * TLS of one connection, without a socket: bytes off the wire in, what they say out, and the other way round.
 *
 * OpenSSL does the handshake. Once it is over, what OpenSSL holds for a connection (26 kB) is no use any more: its secrets and
 * the numbers of its next records go to a `Records` of our own, and OpenSSL's part is freed. A server does that at once, a
 * client with the first data, before which tickets come. Which of the two it is, nobody else sees.
 *
 * Whoever uses it must `close` it; nothing else gives back what OpenSSL may still hold.
 *
 * Not here: the socket, and who is told of what (codec/transport.ts).
 */

import { X509Certificate } from "node:crypto";
import { MeshError } from "../../base/error.ts";
import {
  SSL_ERROR_WANT_READ,
  SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
  SSL_VERIFY_PEER,
} from "./calls/connections.ts";
import type { Pointer } from "./calls/library.ts";
import type { TlsContext } from "./context.ts";
import { Ledger } from "./ledger.ts";
import { type OpenSsl, openSsl } from "./openssl.ts";
import { OpenSslRecords } from "./openssl-records.ts";
import { broken, type RecordLayer, recordsPerKey } from "./record-layer.ts";
import { Records } from "./records.ts";
import { sharedMemory } from "./shared-memory.ts";

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

/** What a handshake settles. */
interface Settled {
  readonly protocol: string | undefined;
  readonly isResumed: boolean;
  /** In DER. */
  readonly peerCertificate: Buffer | undefined;
  readonly verifyProblem: string | undefined;
}

export class TlsConnection {
  readonly #calls: OpenSsl;
  readonly #isServer: boolean;
  /** A client's, until OpenSSL's part is freed: it may hold the peer's certificate. */
  #onSession: ClientOptions["onSession"] | undefined;
  readonly #recordsPerKey: number;
  readonly #memory = sharedMemory();
  /** OpenSSL's part; 0 once it is freed. */
  #pointer: Pointer;
  /** As long as that: it has the first secrets, from which all later ones follow. */
  #ledger: Ledger | undefined;
  #settled: Settled | undefined;
  #layer: RecordLayer | undefined;
  /** What came behind the handshake's end. */
  #rest: Buffer = nothing;
  #isClosed = false;
  /** Of the handshake. */
  #error: MeshError | undefined;

  private constructor(
    context: TlsContext,
    { alpn, onSession }: Pick<ClientOptions, "alpn"> & Partial<ClientOptions>,
    keyLife: number | undefined,
  ) {
    const calls = openSsl();
    this.#calls = calls;
    const misnamed = alpn.find((name) => name.length < 1 || name.length > maxNameBytes);
    if (misnamed !== undefined) this.#refuseToOffer("protocol", misnamed);
    this.#isServer = onSession === undefined;
    this.#onSession = onSession;
    this.#recordsPerKey = keyLife ?? recordsPerKey;
    this.#pointer = calls.newConnection(context.pointer);
    calls.setBios(this.#pointer, this.#memory.arriving, this.#memory.leaving);
    const isOffered = alpn.length > 0 && misnamed === undefined;
    const protocols = isOffered ? protocolList(alpn) : undefined;
    this.#ledger = new Ledger(this.#pointer, this.#isServer, protocols);
  }

  static accept(context: TlsContext, options: ServerOptions, keyLife?: number): TlsConnection {
    const made = new TlsConnection(context, { alpn: options.alpn }, keyLife);
    made.#calls.setServer(made.#pointer);
    const required = options.requireClientCertificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    if (options.asksForCertificate) {
      made.#calls.verifyPeer(made.#pointer, SSL_VERIFY_PEER | required);
    }
    return made;
  }

  static connect(context: TlsContext, options: ClientOptions, keyLife?: number): TlsConnection {
    const made = new TlsConnection(context, options, keyLife);
    const calls = made.#calls;
    const ssl = made.#pointer;
    const protocols = made.#ledger?.protocols;
    calls.setClient(ssl);
    if (options.isVerified) calls.verifyPeer(ssl, SSL_VERIFY_PEER);
    if (options.sni !== "" && !calls.setServerName(ssl, options.sni)) {
      made.#refuseToOffer("server name", options.sni);
    }
    if (protocols !== undefined && !calls.offerProtocols(ssl, protocols)) {
      made.#refuseToOffer("list of protocols", options.alpn.join(", "));
    }
    // Where it cannot, the handshake is a full one.
    if (options.session !== undefined) calls.goOnFrom(ssl, options.session);
    return made;
  }

  /** Fails the handshake: without a name or protocols the peer could be another one, or speak another way. */
  #refuseToOffer(what: string, text: string): void {
    const problem = `want a ${what} of 1 to ${maxNameBytes} bytes, got ${text.length}: "${text}"`;
    this.#error ??= new MeshError("proxy.tls.offer", `offer TLS to a peer: ${problem}`, {
      fault: "user",
    });
  }

  /**
   * Goes on with the handshake by what arrived, if anything did. Throws MeshError `heddle.assumption` once it is over: what
   * nobody reads would stay in the memory that all connections share.
   */
  handshake(bytes?: Buffer, length = 0): Step {
    this.#refuseClosed();
    const error = this.error;
    if (error !== undefined) return { kind: "broken", output: nothing, error };
    if (this.#settled !== undefined) {
      throw new MeshError("heddle.assumption", "shake hands with a peer again");
    }
    const calls = this.#calls;
    const ssl = this.#pointer;
    if (bytes !== undefined) this.#memory.put(bytes, length);
    calls.clearErrors(); // others' would be taken for this one's
    const result = calls.handshake(ssl);
    const output = this.#memory.takeWritten();
    if (result === 1) {
      this.#finish();
      return { kind: "done", output };
    }
    const isWaiting = calls.errorOf(ssl, result) === SSL_ERROR_WANT_READ;
    if (isWaiting) return { kind: "going-on", output };
    const problem = calls.verifyProblem(ssl) ?? calls.errorReason();
    return { kind: "broken", output, error: this.breakOff(problem) };
  }

  #finish(): void {
    const calls = this.#calls;
    const ssl = this.#pointer;
    this.#rest = this.#memory.takeUnread();
    this.#settled = {
      protocol: calls.protocolOf(ssl),
      isResumed: calls.isResumed(ssl),
      peerCertificate: calls.peerCertificate(ssl),
      verifyProblem: calls.verifyProblem(ssl),
    };
    const onSession = this.#onSession;
    const recordsPerKey = this.#recordsPerKey;
    if (onSession === undefined) this.#handOver();
    else {
      const hasTicket = () => this.#ledger?.hasTicket === true;
      this.#layer = new OpenSslRecords(calls, ssl, { recordsPerKey, hasTicket, onSession });
    }
  }

  /** Goes on without OpenSSL. */
  #handOver(): void {
    if (this.#ledger === undefined) return;
    const { reading, writing } = this.#ledger.keys(this.#calls);
    const isServer = this.#isServer;
    const recordsPerKey = this.#recordsPerKey;
    this.#layer = new Records({ reading, writing, isServer, recordsPerKey });
    this.#free();
  }

  // ---- records, once the handshake is over -----------------------------------------------------

  /** As `RecordLayer` has it; undefined right after the handshake, behind the end of which something may have come. */
  open(bytes: Buffer | undefined, length: number, into: Buffer): number {
    this.#refuseClosed();
    if (this.error !== undefined) return 0;
    const layer = this.#records;
    const arrived = bytes ?? this.#rest;
    this.#rest = nothing;
    const opened = layer.open(arrived, bytes === undefined ? arrived.length : length, into);
    if (layer instanceof OpenSslRecords && !layer.isNeeded) this.#handOver();
    return opened;
  }

  takeReply(): Buffer | undefined {
    return this.#layer?.takeReply();
  }

  seal(bytes: Uint8Array, at: number, length: number, into: Buffer): number {
    return this.#records.seal(bytes, at, length, into);
  }

  end(): Buffer {
    return this.#records.end();
  }

  get hasPeerClosed(): boolean {
    return this.#layer?.hasPeerClosed === true;
  }

  get isInMidMessage(): boolean {
    return this.#layer?.isInMidMessage === true;
  }

  /** What broke it, in its handshake or later; nothing more can be read. */
  get error(): MeshError | undefined {
    return this.#error ?? this.#layer?.error;
  }

  /**
   * The peer has done what it must not, outside of TLS: ended the wire without its word, say, so that what has come may be
   * part of what was sent.
   */
  breakOff(reason: string): MeshError {
    if (this.#layer !== undefined) return this.#layer.breakOff(reason);
    this.#calls.clearErrors();
    this.#memory.drop();
    this.#error = broken(reason);
    return this.#error;
  }

  /** Throws MeshError `heddle.assumption` while there is none yet, or any more. */
  get #records(): RecordLayer {
    this.#refuseClosed();
    if (this.#layer !== undefined) return this.#layer;
    throw new MeshError(
      "heddle.assumption",
      "use TLS of a connection before its handshake is over",
    );
  }

  /** Gives back what OpenSSL holds. */
  close(): void {
    this.#isClosed = true;
    this.#free();
  }

  #free(): void {
    if (this.#pointer === 0) return; // where it pointed to may be another's by now
    this.#ledger?.close();
    this.#ledger = undefined;
    this.#onSession = undefined;
    this.#calls.freeConnection(this.#pointer);
    this.#pointer = 0;
  }

  /** OpenSSL would read and write what is others' by then. */
  #refuseClosed(): void {
    if (!this.#isClosed) return;
    throw new MeshError("heddle.assumption", "use TLS of a connection that is closed");
  }

  // ---- what the handshake settled --------------------------------------------------------------

  /** By ALPN. */
  get protocol(): string | undefined {
    return this.#afterwards?.protocol;
  }

  /** It went on from a session. */
  get isResumed(): boolean {
    return this.#afterwards?.isResumed === true;
  }

  get peerCertificate(): X509Certificate | undefined {
    const der = this.#afterwards?.peerCertificate;
    return der === undefined ? undefined : new X509Certificate(der);
  }

  /** Why the peer's certificate was not accepted. */
  get verifyProblem(): string | undefined {
    return this.#afterwards?.verifyProblem;
  }

  get #afterwards(): Settled | undefined {
    this.#refuseClosed();
    return this.#settled;
  }
}

const nothing = Buffer.alloc(0);
/** Of a server's name, as OpenSSL takes it, and of a protocol's (RFC 7301 §3.1). */
const maxNameBytes = 255;

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
