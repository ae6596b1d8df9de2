/**
 * Makes the sockets of the data path: accepted or connected, plain or TLS, all reading through `onread`.
 *
 * `net.connect` and `tls.connect` take `onread`; for accepted sockets Node has no option, so the handle of the accepted
 * socket (which was never read from) is given to a socket of our own. For accepted TLS the same is done by a subclass
 * that hands the raw handle to TLSSocket's own wrapping, the one place where it asks for a handle. Both rest on fields
 * that Node keeps stable for its own subclasses; `adoption.test.ts` fails should that ever change.
 */

import type { X509Certificate } from "node:crypto";
import { connect, type NetConnectOpts, Socket, type SocketConstructorOpts } from "node:net";
import {
  type ConnectionOptions,
  connect as connectTls,
  type PeerCertificate,
  type SecureContext,
  TLSSocket,
} from "node:tls";
import { MeshError } from "../../base/error.ts";
import type { OnRead } from "./transport.ts";

/** What we use of libuv's TCP handle and of Node's TLS wrap around it. */
export interface RawHandle {
  readonly fd: number;
  close(): void;
}
interface TlsHandle {
  receive(bytes: Buffer): void;
  start(): void;
  verifyError(): Error | null;
}

/** Takes the handle out of a socket that was accepted with `pauseOnConnect`. */
export function handleOf(socket: Socket): RawHandle | undefined {
  return (socket as unknown as { readonly _handle: RawHandle | null })._handle ?? undefined;
}

/** The file descriptor behind a socket, for getsockopt; undefined when it is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  const descriptor = handleOf(socket)?.fd;
  return descriptor === undefined || descriptor < 0 ? undefined : descriptor;
}

export function adopt(accepted: Socket, onread: OnRead): Socket {
  const handle = handleOf(accepted);
  if (handle === undefined) throw closedError("adopt");
  const options: unknown = { handle, onread, allowHalfOpen: true };
  return new Socket(options as SocketConstructorOpts);
}

export interface AcceptTlsOptions {
  readonly context: SecureContext;
  readonly alpn: readonly string[];
  readonly asksForCertificate: boolean;
  readonly requireClientCertificate: boolean;
}

/** Speaks TLS as a server on the handle of `raw`, whose first bytes may already have been read. */
export function acceptTls(
  raw: Socket,
  firstBytes: Buffer | undefined,
  options: AcceptTlsOptions,
  onread: OnRead,
): TLSSocket {
  const handle = handleOf(raw);
  if (handle === undefined) throw closedError("accept TLS on");
  const socket = new AdoptingTlsSocket(handle, options, onread);
  // As after accept: the constructor takes a socket without a parent for a client's.
  (socket as { connecting: boolean }).connecting = false;
  if (firstBytes !== undefined) tlsHandleOf(socket).receive(firstBytes);
  return socket;
}

/** What a handshake has settled. */
export interface Negotiated {
  /** By ALPN. */
  readonly protocol: string | undefined;
  readonly peerCertificate: X509Certificate | undefined;
  /** Why the peer's certificate was not accepted. */
  readonly verifyProblem: string | undefined;
}

/** Call it once the handshake is over. */
export function negotiatedOf(socket: TLSSocket): Negotiated {
  const { alpnProtocol } = socket;
  const isNamed = typeof alpnProtocol === "string" && alpnProtocol !== "";
  return {
    protocol: isNamed ? alpnProtocol : undefined,
    peerCertificate: socket.getPeerX509Certificate(),
    verifyProblem: tlsHandleOf(socket).verifyError()?.message,
  };
}

/** `from`: the address to connect from; undefined: whichever the route has. */
export function connectPlain(address: string, port: number, onread: OnRead, from?: string): Socket {
  // Node takes "no other buffer" for an answer of `onread.buffer`; its types do not.
  const options: unknown = {
    host: address,
    port,
    onread,
    noDelay: true,
    allowHalfOpen: true,
    ...(from === undefined ? {} : { localAddress: from }),
  };
  return connect(options as NetConnectOpts);
}

export interface ConnectTlsOptions {
  readonly context: SecureContext;
  readonly alpn: readonly string[];
  readonly sni: string;
  /** False: whoever answers is taken for whom he says he is. */
  readonly isVerified: boolean;
  /** Refuses the peer's certificate by returning an error; its chain has been verified already. */
  readonly verifyPeer: (certificate: PeerCertificate) => Error | undefined;
  /**
   * Of an earlier connection to the same peer, with the same context and the same demands: spares a handshake's
   * signatures.
   */
  readonly session?: Buffer;
}

export function connectWithTls(
  address: string,
  port: number,
  options: ConnectTlsOptions,
  onread: OnRead,
  /** Source address; undefined: the system's choice. */
  from?: string,
): TLSSocket {
  // Not all of what tls.connect hands on to its socket is declared.
  const connectOptions: unknown = {
    host: address,
    port,
    secureContext: options.context,
    ALPNProtocols: [...options.alpn],
    ...(options.sni === "" ? {} : { servername: options.sni }),
    ...(options.session === undefined ? {} : { session: options.session }),
    rejectUnauthorized: options.isVerified,
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      options.verifyPeer(certificate),
    onread,
    noDelay: true,
    allowHalfOpen: true,
    ...(from === undefined ? {} : { localAddress: from }),
  };
  return connectTls(connectOptions as ConnectionOptions);
}

/** TLSSocket makes a new handle when it gets no socket; this one says which handle it is. */
class AdoptingTlsSocket extends TLSSocket {
  constructor(handle: RawHandle, options: AcceptTlsOptions, onread: OnRead) {
    const tlsOptions = {
      isServer: true,
      secureContext: options.context,
      requestCert: options.asksForCertificate,
      rejectUnauthorized: options.requireClientCertificate,
      allowHalfOpen: true,
      onread,
      adopted: handle,
      ...(options.alpn.length > 0 ? { ALPNProtocols: [...options.alpn] } : {}),
    };
    super(undefined as unknown as Socket, tlsOptions);
  }

  /** Called by TLSSocket's constructor, before fields of this class exist: the handle travels in the options. */
  _wrapHandle(wrap: unknown, _handle: unknown, hasActiveWrite: boolean): unknown {
    const inherited = TLSSocket.prototype as unknown as {
      _wrapHandle(wrap: unknown, handle: unknown, hasActiveWrite: boolean): unknown;
    };
    const { adopted } = (
      this as unknown as { readonly _tlsOptions: { readonly adopted: RawHandle } }
    )._tlsOptions;
    return inherited._wrapHandle.call(this, wrap, adopted, hasActiveWrite);
  }
}

function tlsHandleOf(socket: TLSSocket): TlsHandle {
  const handle = (socket as unknown as { readonly _handle: TlsHandle | null })._handle;
  if (handle === null) throw closedError("use");
  return handle;
}

function closedError(what: string): MeshError {
  return new MeshError("proxy.socket.closed", `${what} a socket that is closed`, {
    fault: "peer",
    retryable: true,
  });
}
