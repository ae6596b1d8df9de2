/**
 * Opens connections to one endpoint: in the clear or in TLS, with what its cluster wants at their beginning.
 *
 * Not here: what becomes of them (pooled-connections.ts, shared-connections.ts), and how many there may be
 * (cluster-load.ts).
 */

import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { SecureContext, TLSSocket } from "node:tls";
import { MeshError } from "../../base/error.ts";
import { selfSource } from "../../model/names.ts";
import type { KeepAlive } from "../../model/proxy-config.ts";
import { proxyHeader } from "../../wire/proxy-protocol/header.ts";
import { connectPlain, connectWithTls } from "../codec/sockets.ts";
import { type OnRead, type Reader, Transport } from "../codec/transport.ts";
import type { Peer } from "../peer.ts";
import { Timeout } from "../timer-wheel.ts";
import { TlsConnection } from "../tls/connection.ts";
import { TlsContext } from "../tls/context.ts";
import type { ClusterTls } from "./cluster.ts";
import type { Host } from "./host.ts";
import { TlsSession } from "./tls-session.ts";

export type UpstreamProtocol = "http/1.1" | "http/2" | "any";

export class Connector {
  readonly #host: Host;
  readonly #session = new TlsSession();

  constructor(host: Host) {
    this.#host = host;
  }

  /** `peer`: whose connection it will carry; undefined: the sidecar's own, or many at a time. */
  open(reader: Reader, protocol: UpstreamProtocol, peer?: Peer): Transport {
    const { cluster, address, port, endpoint } = this.#host;
    cluster.connectionsTotal++;
    const { environment, config, security } = cluster;
    const tls = endpoint.tls ? security.mesh : security.outside;
    const isOwnPod = address === environment.node.address;
    const from = isOwnPod ? selfSource : undefined;
    const alpn = tls === undefined ? [] : offeredFor(protocol, tls.alpn);
    const transport = new Transport(reader, (onread) =>
      environment.sockets.connecting(() =>
        tls === undefined || tls.context instanceof TlsContext
          ? connectPlain(address, port, onread, tls === undefined ? undefined : from)
          : this.#openTls(tls, tls.context, alpn, onread, from),
      ),
    );
    if (tls?.context instanceof TlsContext) this.#secure(transport, tls, tls.context, alpn);
    if (config.maxConnectionDurationMs !== undefined) transport.openedAt = environment.now();
    if (config.proxyProtocol !== undefined && tls === undefined) {
      transport.socket.write(proxyHeader(config.proxyProtocol, peer && endsOf(peer)));
    }
    if (config.keepAlive !== undefined) keepAlive(transport.socket, config.keepAlive);
    return transport;
  }

  #secure(
    transport: Transport,
    tls: ClusterTls,
    context: TlsContext,
    alpn: readonly string[],
  ): void {
    const { sni, isVerified } = tls;
    const connection = TlsConnection.connect(context, {
      alpn,
      sni,
      isVerified,
      ...this.#session.for(tls, this.#host.cluster.environment.epochMs()),
      onSession: (session) => this.#session.keep(session, tls, peer()),
    });
    let certificate: X509Certificate | undefined;
    const peer = () => {
      certificate ??= connection.peerCertificate; // read once for both
      return certificate;
    };
    transport.secure(connection, () => {
      const refusal = isVerified ? refuse(peer(), tls) : undefined;
      if (refusal === undefined) transport.onReady?.();
      else transport.destroy(refusal);
    });
  }

  #openTls(
    tls: ClusterTls,
    context: SecureContext,
    alpn: readonly string[],
    onread: OnRead,
    from: string | undefined,
  ): TLSSocket {
    const { address, port } = this.#host;
    const session = this.#session.for(tls, this.#host.cluster.environment.epochMs());
    const options = { ...tls, context, alpn, ...session };
    const socket = connectWithTls(address, port, options, onread, from);
    // Node tells of tickets only once the peer is verified.
    socket.on("session", (ticket) =>
      this.#session.keep(ticket, tls, socket.getPeerX509Certificate()),
    );
    return socket;
  }

  /** Calls one of the two once it is known whether the connection comes about in time. */
  whenReady(transport: Transport, onReady: () => void, onFailure: () => void): void {
    const { environment, config } = this.#host.cluster;
    const { wheel } = environment;
    const { socket } = transport;
    const event = transport.isTls ? "secureConnect" : "connect";
    const settle = () => {
      wheel.cancel(timeout);
      transport.onReady = undefined;
      socket.off(event, ready);
      socket.off("close", failed);
    };
    const ready = () => {
      settle();
      onReady();
    };
    const failed = () => {
      settle();
      onFailure();
    };
    const timeout = new Timeout(failed);
    wheel.arm(timeout, config.connectTimeoutMs);
    if (transport.isTls && !transport.readsByRecord) transport.onReady = ready;
    else socket.once(event, ready);
    socket.once("close", failed);
  }
}

/** Its chain has been verified; whether it is the one that is wanted is another matter. */
function refuse(certificate: X509Certificate | undefined, tls: ClusterTls): Error | undefined {
  if (certificate !== undefined) return tls.verifyPeer(certificate.toLegacyObject());
  return new MeshError("proxy.tls.identity", "verify a peer: it showed no certificate", {
    fault: "peer",
  });
}

function endsOf(peer: Peer): NonNullable<Parameters<typeof proxyHeader>[1]> {
  return {
    source: { address: peer.sourceAddress, port: peer.sourcePort },
    destination: { address: peer.destinationAddress, port: peer.destinationPort },
  };
}

/** Linux' own times where nothing is said: two hours, then 75 s apart, nine times. */
function keepAlive(socket: Socket, { timeMs, intervalMs, probes }: KeepAlive): void {
  socket.setKeepAlive(true, timeMs ?? 7_200_000, intervalMs ?? 75_000, probes ?? 9);
}

/**
 * What a connection offers in its ClientHello: nothing that it will not speak, for the peer takes offers at their word.
 * Istio's names, and the registered ones.
 */
function offeredFor(protocol: UpstreamProtocol, alpn: readonly string[]): readonly string[] {
  return alpn.filter((name) => {
    const spoken = /^(istio-)?http\/1\.[01]$/.test(name)
      ? "http/1.1"
      : /^(istio-)?h2$/.test(name)
        ? "http/2"
        : protocol;
    return spoken === protocol;
  });
}
