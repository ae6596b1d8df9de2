/**
 * One captured connection, from its listener to the filter chain that takes it.
 *
 * Chains for the port; then only as much reading as telling them apart takes, in the clear or inside TLS. A chain that
 * terminates TLS does so here, and the peer is known before any filter runs. L4 authorization is the last step; who is
 * refused is closed without a byte.
 *
 * A client that waits for the server's greeting would wait for ever while we wait for its first bytes. Detection ends
 * after a bounded time with "other", and the destination is remembered (server-first.ts).
 *
 * Not here: whether it may come in, where it wanted to go and who it comes from (accept.ts), what bytes tell (tell.ts),
 * whether a certificate is good (client-certificate.ts), the L4 rules, and who reads the connection then (hand-over.ts).
 */

import type { Socket } from "node:net";
import { meshAlpn } from "../../model/names.ts";
import type { SocketAddress } from "../../wire/proxy-protocol/header.ts";
import { keptBehind } from "../codec/kept-bytes.ts";
import { acceptTls, adopt, type Negotiated, negotiatedOf } from "../codec/sockets.ts";
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
  forTransport,
  needsFirstBytes,
  needsProtocol,
} from "./chain-choice.ts";
import { judgeClient } from "./client-certificate.ts";
import type { LiveConnection } from "./connections.ts";
import type { Arrival } from "./destination.ts";
import { admits, handOver } from "./hand-over.ts";
import type { Introduced } from "./proxy-header.ts";
import type { Destination, Runtime } from "./runtime.ts";
import { tell, tellProtocol } from "./tell.ts";

/** What detection may look at before it must know: a ClientHello with post-quantum key shares takes 2 KiB. */
const maxFirstBytes = 16 * 1024;

/** How long a known server-first destination still waits for a ClientHello: it comes with the first packet. */
const serverFirstWaitMs = 50;

type Step =
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
  readonly #source: SocketAddress;
  readonly #timeout: Timeout;
  #transport: Transport | undefined;
  #step: Step = "sniffing";
  #first: Buffer | undefined;
  #candidates: Chains = [];
  #principal: string | undefined;
  #forwardedCertificate: string | undefined;
  /** The client's sidecar has said so: in its ClientHello, where no application has a say. */
  #speaksHttp = false;
  #hasTimedOut = false;
  #hasEnded = false;

  constructor(runtime: Runtime, accepted: Socket, arrival: Arrival, source: SocketAddress) {
    this.#runtime = runtime;
    this.#accepted = accepted;
    this.#listener = arrival.listener;
    this.#destination = arrival.destination;
    this.#source = source;
    this.#timeout = new Timeout(() => this.#onTimeout());
    runtime.connections.add(this);
  }

  /** Nothing has been read. */
  begin(): void {
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

  /** It began with a PROXY header. */
  beginBehind({ transport, rest, hasEnded }: Introduced): void {
    this.#transport = transport;
    this.#first = rest;
    this.#hasEnded = hasEnded;
    transport.reader = this;
    this.begin();
    if (this.#step === "sniffing" && rest !== undefined) this.#look();
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
    const stage = this.#transport?.isTls === true ? "inside TLS" : `from ${this.#source.address}`;
    return `${this.#listener.direction} ${address}:${port} ${stage}`;
  }

  // ---- Reader ----------------------------------------------------------------------------------

  onBytes(bytes: Buffer, length: number): void {
    this.#first = keptBehind(this.#first, bytes, 0, length);
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
    if (this.#step === "handshake") {
      this.destroy();
      return;
    }
    this.#hasTimedOut = true;
    this.#look();
  }

  // ---- telling ---------------------------------------------------------------------------------

  #look(): void {
    const bytes = this.#first ?? nothing;
    const mustDecide = this.#hasTimedOut || this.#hasEnded || bytes.length >= maxFirstBytes;
    const isInside = this.#step === "sniffing-inside";
    const told = (isInside ? tellProtocol : tell)(bytes, this.#candidates, mustDecide);
    switch (told.kind) {
      case "nothing":
        return;
      case "terminate":
        this.#terminate(told.tls, told.chains);
        return;
      case "taken":
        this.#take(told.chain);
    }
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
      environment.log.debug("refuse peer certificate", { source: this.#source.address, reason });
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
      sourceAddress: this.#source.address,
      sourcePort: this.#source.port,
      destinationAddress: this.#destination.address,
      destinationPort: this.#destination.port,
      principal: this.#principal,
      forwardedCertificate: this.#forwardedCertificate,
      isHttpSidecar: this.#principal !== undefined && this.#speaksHttp,
      labels: undefined,
      series: new Map(),
    };
    if (!admits(chain, peer, environment)) {
      this.destroy();
      return;
    }
    const silentUnder = this.#hasTimedOut ? this.#memoryKey : undefined;
    handOver(chain, {
      runtime: this.#runtime,
      listener: this.#listener,
      transport,
      peer,
      first: this.#first,
      hasEnded: this.#hasEnded,
      silentUnder,
    });
    this.#leave(); // after its successor came: the sidecar is not idle in between
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

const nothing = Buffer.alloc(0);

function alpnOf(chains: Chains): readonly string[] {
  return [...new Set(chains.flatMap((chain) => chain.tls?.alpn ?? []))];
}
