/**
 * One captured connection, from the accept to the filter chain that takes it.
 *
 * Original destination → listener → chains for the port; then only as much looking as telling them apart takes:
 * nothing, the first byte (TLS or not), the ClientHello's ALPN, or the first bytes of the protocol, in the clear or
 * inside TLS. A chain that terminates TLS does so here, and the peer is known before any filter runs. L4 authorization
 * is the last step; who is refused is closed without a byte.
 *
 * A client that waits for the server's greeting would wait for ever while we wait for its first bytes. Detection ends
 * after a bounded time with "other", and the destination is remembered (server-first.ts).
 *
 * Not here: where it wanted to go (destination.ts), whether a certificate is good (client-certificate.ts), who reads
 * the connection then (hand-over.ts).
 */

import type { Socket } from "node:net";
import { meshAlpn } from "../../model/names.ts";
import { readProxyHeader } from "../../wire/proxy-protocol/header.ts";
import { acceptTls, adopt, descriptorOf, type Negotiated, negotiatedOf } from "../codec/sockets.ts";
import { type Reader, Transport } from "../codec/transport.ts";
import type { ChainTls, CompiledChain, ListenerTable } from "../config/tables.ts";
import type { Peer } from "../peer.ts";
import { Timeout } from "../timer-wheel.ts";
import { TlsConnection } from "../tls/connection.ts";
import { TlsContext } from "../tls/context.ts";
import {
  type Chains,
  forDestination,
  forPort,
  forProtocol,
  forServerName,
  forTransport,
  needsFirstBytes,
  needsProtocol,
  needsServerName,
} from "./chain-choice.ts";
import { judgeClient } from "./client-certificate.ts";
import { readClientHello } from "./client-hello.ts";
import type { LiveConnection } from "./connections.ts";
import { type Arrival, arrivalOf, plainAddress } from "./destination.ts";
import { detect } from "./detect.ts";
import { handOver, refusedBy } from "./hand-over.ts";
import type { Destination, Runtime } from "./runtime.ts";

/** What detection may look at before it must know: a ClientHello with post-quantum key shares takes 2 KiB. */
const maxFirstBytes = 16 * 1024;

/** How long a known server-first destination still waits for a ClientHello: it comes with the first packet. */
const serverFirstWaitMs = 50;

type Step =
  /** Waiting for the header in which a proxy says whose connection it is. */
  | "proxy-header"
  /** Waiting for first bytes, to tell transports and protocols apart. */
  | "sniffing"
  | "handshake"
  /** Inside TLS, waiting for first bytes to tell the protocol. */
  | "sniffing-inside"
  /** A chain has it. */
  | "done";

export class Incoming implements Reader, LiveConnection {
  readonly #runtime: Runtime;
  readonly #accepted: Socket;
  readonly #listener: ListenerTable;
  readonly #destination: Destination;
  /** The client's; its proxy's until a PROXY header has said whose. */
  #sourceAddress: string;
  #sourcePort: number;
  readonly #timeout: Timeout;
  #transport: Transport | undefined;
  #step: Step = "sniffing";
  #first: Buffer | undefined;
  #candidates: Chains = [];
  #principal: string | undefined;
  #forwardedCertificate: string | undefined;
  /** The client's sidecar has said so: in its ClientHello, where no application has a say. */
  #speaksHttp = false;
  #isHeaderOptional = false;
  #hasTimedOut = false;
  #hasEnded = false;

  private constructor(runtime: Runtime, accepted: Socket, { listener, destination }: Arrival) {
    this.#runtime = runtime;
    this.#accepted = accepted;
    this.#listener = listener;
    this.#destination = destination;
    this.#sourceAddress = plainAddress(accepted.remoteAddress ?? "");
    this.#sourcePort = accepted.remotePort ?? 0;
    this.#timeout = new Timeout(() => this.#onTimeout());
    runtime.connections.add(this);
  }

  /** Takes a socket that `bound` accepted (with `pauseOnConnect`). */
  static accept(runtime: Runtime, accepted: Socket, bound: ListenerTable): void {
    const descriptor = descriptorOf(accepted);
    const { environment } = runtime;
    const isAdmitted = environment.overload.admits() && runtime.connections.admit();
    if (descriptor === undefined || !isAdmitted) {
      accepted.resetAndDestroy();
      return;
    }
    const arrival = arrivalOf(runtime, accepted, descriptor, bound);
    if (arrival === undefined) {
      environment.log.debug("refuse connection to the capture port", { port: bound.port });
      accepted.destroy();
      return;
    }
    const incoming = new Incoming(runtime, accepted, arrival);
    if (bound.proxyProtocol === undefined) incoming.#begin();
    else incoming.#waitForHeader(bound.proxyProtocol === "optional");
  }

  // ---- PROXY protocol --------------------------------------------------------------------------

  #waitForHeader(isOptional: boolean): void {
    const { environment } = this.#runtime;
    this.#step = "proxy-header";
    this.#isHeaderOptional = isOptional;
    this.#transport = new Transport(this, (onread) => adopt(this.#accepted, onread));
    environment.wheel.arm(this.#timeout, environment.limits.headerTimeoutMs);
  }

  /** Who connects is the header's word from here on; where to is not: only the kernel says that. */
  #lookAtHeader(): void {
    const bytes = this.#first ?? Buffer.alloc(0);
    const header = readProxyHeader(bytes);
    if (header.kind === "partial" && !this.#hasEnded) return;
    const { environment } = this.#runtime;
    environment.wheel.cancel(this.#timeout);
    if (header.kind === "header") {
      const rest = bytes.subarray(header.length);
      this.#first = rest.length === 0 ? undefined : rest;
      this.#sourceAddress = header.source?.address ?? this.#sourceAddress;
      this.#sourcePort = header.source?.port ?? this.#sourcePort;
    } else if (header.kind !== "none" || !this.#isHeaderOptional) {
      const reason = header.kind === "invalid" ? header.problem : "no PROXY header";
      environment.log.debug("refuse connection", { source: this.#sourceAddress, reason });
      this.destroy();
      return;
    }
    this.#step = "sniffing";
    this.#begin();
    if (this.#step === "sniffing" && this.#first !== undefined) this.#look();
  }

  #begin(): void {
    const { serverFirst } = this.#runtime;
    const { address, port } = this.#destination;
    this.#candidates = forDestination(forPort(this.#listener, port), address);
    const isServerFirst = serverFirst.has(this.#memoryKey);
    const raw = forTransport(this.#candidates, "raw");
    // Where TLS would be terminated the first byte must be seen even so: the memory only shortens the wait then.
    const mayTerminate = this.#candidates.some((chain) => chain.tls !== undefined);
    if (!needsFirstBytes(this.#candidates)) this.#take(forProtocol(this.#candidates, undefined));
    else if (isServerFirst && !mayTerminate) this.#take(forProtocol(raw, undefined));
    else {
      this.#transport ??= new Transport(this, (onread) => adopt(this.#accepted, onread));
      this.#waitForClient();
    }
  }

  #waitForClient(): void {
    const { environment, serverFirst } = this.#runtime;
    const { detectionTimeoutMs, headerTimeoutMs } = environment.limits;
    // Where nothing but TLS is taken, silence is a slow ClientHello and no server-first protocol.
    const isTlsOnly =
      this.#step === "sniffing" && forTransport(this.#candidates, "raw").length === 0;
    const guessMs = serverFirst.has(this.#memoryKey) ? serverFirstWaitMs : detectionTimeoutMs;
    environment.wheel.arm(this.#timeout, isTlsOnly ? headerTimeoutMs : guessMs);
  }

  /**
   * What the server-first memory is about. A greeting inside TLS says nothing of when a ClientHello comes, and one
   * client in the clear nothing of another that speaks TLS: a busy peer's late ClientHello must not be taken for
   * silence.
   */
  get #memoryKey(): string {
    const { address, port } = this.#destination;
    const stage = this.#transport?.isTls === true ? "inside TLS" : `from ${this.#sourceAddress}`;
    return `${this.#listener.direction} ${address}:${port} ${stage}`;
  }

  // ---- Reader ----------------------------------------------------------------------------------

  onBytes(bytes: Buffer, length: number): void {
    const arrived = Buffer.from(bytes.subarray(0, length));
    this.#first = this.#first === undefined ? arrived : Buffer.concat([this.#first, arrived]);
    this.#look();
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#step === "handshake" || this.#first === undefined) this.destroy();
    else this.#look();
  }

  onDrain(): void {}

  onClose(): void {
    this.#leave();
  }

  #onTimeout(): void {
    if (this.#step === "handshake" || this.#step === "proxy-header") {
      this.destroy();
      return;
    }
    this.#hasTimedOut = true;
    this.#look();
  }

  // ---- telling ---------------------------------------------------------------------------------

  #look(): void {
    if (this.#step === "proxy-header") {
      this.#lookAtHeader();
      return;
    }
    const bytes = this.#first ?? Buffer.alloc(0);
    const mustDecide = this.#hasTimedOut || this.#hasEnded || bytes.length >= maxFirstBytes;
    if (this.#step === "sniffing-inside")
      this.#lookForProtocol(bytes, this.#candidates, mustDecide);
    else if (bytes[0] === 0x16) this.#lookAtHello(bytes, mustDecide);
    else if (bytes.length > 0 || mustDecide) {
      this.#lookForProtocol(bytes, forTransport(this.#candidates, "raw"), mustDecide);
    }
  }

  #lookAtHello(bytes: Buffer, mustDecide: boolean): void {
    let chains = forTransport(this.#candidates, "tls");
    const tellsByName = needsServerName(chains);
    // Mesh TLS is terminated, an application's own passed through: ALPN tells which is which.
    const tellsByAlpn = chains.some((chain) => chain.tls === undefined) && needsProtocol(chains);
    const hello = tellsByName || tellsByAlpn ? readClientHello(bytes) : undefined;
    if ((tellsByName || tellsByAlpn) && hello === undefined && !mustDecide) return;
    if (tellsByName) chains = forServerName(chains, hello?.serverName);
    const terminating = chains.filter((chain) => chain.tls !== undefined);
    const [first] = terminating;
    if (terminating.length < chains.length && needsProtocol(chains)) {
      const offered = hello?.alpn ?? [];
      const named = offered
        .map((name) => forProtocol(chains, name))
        .find((chain) => chain?.match.applicationProtocols?.length);
      this.#take(named ?? forProtocol(chains, undefined));
    } else if (first?.tls !== undefined) this.#terminate(first.tls, terminating);
    else this.#take(forProtocol(chains, undefined));
  }

  #lookForProtocol(bytes: Buffer, chains: Chains, mustDecide: boolean): void {
    if (!needsProtocol(chains)) {
      this.#take(forProtocol(chains, undefined));
      return;
    }
    const protocol = detect(bytes);
    if (protocol === undefined && !mustDecide) return;
    this.#take(forProtocol(chains, protocol ?? "other"));
  }

  // ---- TLS -------------------------------------------------------------------------------------

  #terminate(tls: ChainTls, chains: Chains): void {
    const { environment } = this.#runtime;
    const { context } = tls;
    if (context === undefined || !environment.overload.beginHandshake(this)) {
      this.destroy();
      return;
    }
    this.#step = "handshake";
    this.#candidates = chains;
    environment.wheel.arm(this.#timeout, environment.limits.headerTimeoutMs);
    const firstBytes = this.#first;
    this.#first = undefined;
    const options = {
      alpn: alpnOf(chains),
      asksForCertificate: tls.asksForCertificate,
      requireClientCertificate: tls.requireClientCertificate,
    };
    if (context instanceof TlsContext) {
      this.#transport ??= new Transport(this, (onread) => adopt(this.#accepted, onread));
      const connection = TlsConnection.accept(context, options);
      this.#transport.secure(connection, () => this.#onSecure(connection, tls), firstBytes);
      return;
    }
    const raw = this.#transport;
    if (raw !== undefined) raw.reader = nobody; // its handle is the TLS socket's from here on
    this.#transport = new Transport(this, (onread) => {
      const from = raw?.socket ?? this.#accepted;
      const socket = acceptTls(from, firstBytes, { ...options, context }, onread);
      socket.once("secure", () => this.#onSecure(negotiatedOf(socket), tls));
      return socket;
    });
  }

  #onSecure(negotiated: Negotiated, tls: ChainTls): void {
    const { environment } = this.#runtime;
    const judgement = judgeClient(negotiated, tls, environment.trustDomain, environment.epochMs());
    if (judgement.kind === "refused") {
      const { reason } = judgement;
      environment.log.debug("refuse peer certificate", { source: this.#sourceAddress, reason });
      this.destroy();
      return;
    }
    this.#principal = judgement.principal;
    this.#forwardedCertificate = judgement.forwarded;
    const { protocol } = negotiated;
    this.#speaksHttp = protocol === meshAlpn.http || protocol === meshAlpn.http2;
    const named = forProtocol(this.#candidates, protocol);
    const isNamed =
      protocol !== undefined && named?.match.applicationProtocols?.includes(protocol) === true;
    if (isNamed || !needsProtocol(this.#candidates)) {
      this.#take(named);
      return;
    }
    environment.overload.endHandshake(this);
    this.#step = "sniffing-inside";
    this.#waitForClient();
  }

  // ---- handing over ----------------------------------------------------------------------------

  #take(chosen: CompiledChain | undefined): void {
    const { environment } = this.#runtime;
    const chain = chosen ?? this.#listener.defaultChain;
    if (chain === undefined) {
      environment.log.debug("close connection without filter chain", {
        listener: this.#listener.name,
        destination: `${this.#destination.address}:${this.#destination.port}`,
      });
      this.destroy();
      return;
    }
    const isSecured = this.#transport?.isTls === true;
    if (chain.tls !== undefined && !isSecured) {
      this.#terminate(chain.tls, [chain]);
      return;
    }
    const transport =
      this.#transport ?? new Transport(this, (onread) => adopt(this.#accepted, onread));
    this.#transport = transport;
    const peer: Peer = {
      sourceAddress: this.#sourceAddress,
      sourcePort: this.#sourcePort,
      destinationAddress: this.#destination.address,
      destinationPort: this.#destination.port,
      principal: this.#principal,
      forwardedCertificate: this.#forwardedCertificate,
      isHttpSidecar: this.#principal !== undefined && this.#speaksHttp,
      labels: undefined,
      series: new Map(),
    };
    const policy = refusedBy(chain, peer);
    if (policy !== undefined) {
      environment.log.debug("deny connection", {
        policy,
        source: peer.principal ?? peer.sourceAddress,
        port: peer.destinationPort,
      });
      this.destroy();
      return;
    }
    const silentUnder = this.#hasTimedOut ? this.#memoryKey : undefined;
    this.#leave();
    handOver(chain, {
      runtime: this.#runtime,
      listener: this.#listener,
      transport,
      peer,
      first: this.#first,
      hasEnded: this.#hasEnded,
      silentUnder,
    });
  }

  // ---- LiveConnection --------------------------------------------------------------------------

  get heldBytes(): number {
    return this.#first?.length ?? 0;
  }

  drain(): void {
    this.destroy();
  }

  retire(): void {}

  destroy(): void {
    this.#leave();
    if (this.#transport === undefined) this.#accepted.destroy();
    else this.#transport.destroy();
  }

  sweep(): void {}

  #leave(): void {
    const { overload, wheel } = this.#runtime.environment;
    overload.endHandshake(this);
    this.#step = "done";
    wheel.cancel(this.#timeout);
    this.#runtime.connections.delete(this);
  }
}

const nobody: Reader = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

function alpnOf(chains: Chains): readonly string[] {
  return [...new Set(chains.flatMap((chain) => chain.tls?.alpn ?? []))];
}
