/**
 * One health check of one endpoint: a request of HTTP, a call of gRPC, or bytes.
 *
 * It takes the way of requests (the same connections, mesh TLS, HTTP version), as an exchange without a client, so that
 * it says what requests would meet. It counts for nothing else: not as traffic, not for outlier detection, not as load.
 */

import type { Cluster, HealthProbe, StatusRange } from "../../model/proxy-config.ts";
import { requestParser } from "../codec/heads.ts";
import { parseTarget } from "../codec/target.ts";
import type { Reader, Transport } from "../codec/transport.ts";
import type { Environment } from "../environment.ts";
import { ownPeer, type Peer } from "../peer.ts";
import { Exchange } from "../stack/exchange.ts";
import type { Head } from "../stack/head.ts";
import type { DownstreamLeg } from "../stack/legs.ts";
import { Timeout } from "../timer-wheel.ts";
import type { ClusterRuntime } from "./cluster.ts";
import type { ProbeResult } from "./health-state.ts";
import type { Host } from "./host.ts";

/** Asks; `tell` is called once, never before it has returned, unless the function that it answers was called before. */
export type Probe = (
  host: Host,
  timeoutMs: number,
  tell: (result: ProbeResult) => void,
) => () => void;

export function compileProbe(probe: HealthProbe, cluster: ClusterRuntime): Probe {
  switch (probe.kind) {
    case "http":
      return httpProbe(probe, cluster);
    case "grpc":
      return grpcProbe(probe, cluster);
    case "tcp":
      return bytesProbe(probe, cluster.environment);
  }
}

/** Calls `tell` for the first result only, and soon rather than at once. */
function once(tell: (result: ProbeResult) => void): (result: ProbeResult) => void {
  let hasTold = false;
  return (result) => {
    if (hasTold) return;
    hasTold = true;
    queueMicrotask(() => tell(result));
  };
}

/** A check that cannot be made says nothing of the endpoint. */
function never(tell: (result: ProbeResult) => void): () => void {
  once(tell)("unknown");
  return () => {};
}

// ---- HTTP and gRPC -----------------------------------------------------------------------------

type HttpProbe = Extract<HealthProbe, { kind: "http" }>;
type GrpcProbe = Extract<HealthProbe, { kind: "grpc" }>;

function httpProbe(probe: HttpProbe, cluster: ClusterRuntime): Probe {
  const isIn = (ranges: readonly StatusRange[], status: number): boolean =>
    ranges.some(({ from, to }) => status >= from && status <= to);
  const judge = (status: number): ProbeResult => {
    const isExpected = probe.expected.length === 0 ? status === 200 : isIn(probe.expected, status);
    if (isExpected) return "passed";
    return isIn(probe.retriable, status) ? "failed" : "refused";
  };
  return exchangeProbe({
    text: httpHead(probe, cluster.config),
    method: probe.method,
    body: nothing,
    protocol: cluster.config.protocol === "http/2" ? "HTTP/2" : "HTTP/1.1",
    onHead: judge,
    onEnd: () => undefined,
    environment: cluster.environment,
  });
}

const serving = 1; // grpc.health.v1.HealthCheckResponse.ServingStatus

function grpcProbe(probe: GrpcProbe, cluster: ClusterRuntime): Probe {
  return exchangeProbe({
    text: grpcHead(probe, cluster.config),
    method: "POST",
    body: grpcMessage(probe.service),
    protocol: "HTTP/2",
    onHead: (status) => (status === 200 ? undefined : "failed"),
    onEnd: (exchange, body) => {
      if (exchange.grpcStatus !== "0") return "failed";
      // A message of one field: its number and type, then its value.
      return body[5] === 8 && body[6] === serving ? "passed" : "refused";
    },
    environment: cluster.environment,
  });
}

/** `HealthCheckRequest { service = 1 }` behind gRPC's flag and length. */
function grpcMessage(service: string): Buffer {
  const name = Buffer.from(service).subarray(0, 127);
  const message =
    name.length === 0 ? nothing : Buffer.concat([Buffer.from([10, name.length]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Heads without their last empty line. */
function httpHead({ method, path, host, headers }: HttpProbe, cluster: Cluster): string {
  return `${method} ${path} HTTP/1.1\r\nhost: ${host ?? hostOf(cluster)}\r\nuser-agent: heddle-health-check\r\n${linesOf(headers)}`;
}

function grpcHead({ authority, headers }: GrpcProbe, cluster: Cluster): string {
  return `POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: ${authority ?? hostOf(cluster)}\r\nuser-agent: heddle-health-check\r\n${linesOf(headers)}content-type: application/grpc\r\nte: trailers\r\n`;
}

function linesOf(headers: HttpProbe["headers"]): string {
  return headers.map(([name, value]) => `${name.toLowerCase()}: ${value}\r\n`).join("");
}

function hostOf({ service, name }: Cluster): string {
  return service?.host ?? name.replaceAll(/[^a-zA-Z0-9.-]/g, "-");
}

/** What keeps a cluster's health check from being sent; undefined: nothing. Ask before it is in force. */
export function probeProblem(cluster: Cluster): string | undefined {
  const probe = cluster.healthCheck?.probe;
  if (probe === undefined || probe.kind === "tcp") return undefined;
  const head = probe.kind === "http" ? httpHead(probe, cluster) : grpcHead(probe, cluster);
  // More than one message in it would be several requests.
  const parsed = parseHead(`${head}\r\n`);
  if (parsed?.headEnd !== head.length + 2) return `not one request: ${JSON.stringify(head)}`;
  return undefined;
}

function parseHead(whole: string): Head | undefined {
  const bytes = Buffer.from(whole, "latin1");
  const parser = requestParser();
  return parser.execute(bytes, 0, bytes.length) ? parser : undefined;
}

const nothing = Buffer.alloc(0);

interface Asked {
  /** The head, without its last empty line. */
  readonly text: string;
  readonly method: string;
  readonly body: Buffer;
  readonly protocol: DownstreamLeg["protocol"];
  /** What the answer's status says; undefined: its end will tell. */
  readonly onHead: (status: number) => ProbeResult | undefined;
  readonly onEnd: (exchange: Exchange, body: Buffer) => ProbeResult | undefined;
  readonly environment: Environment;
}

function exchangeProbe(asked: Asked): Probe {
  const whole = `${asked.text}\r\n`;
  const head = parseHead(whole);
  if (head === undefined) return (_host, _timeoutMs, tell) => never(tell); // refused before: probeProblem
  return (host, timeoutMs, tell) => {
    const leg = new ProbeLeg(asked, once(tell));
    const exchange = leg.begin(head, whole, host);
    const { wheel } = asked.environment;
    // Where it still waits for one of the connections that there may be, nobody was asked.
    const timeout = new Timeout(() =>
      leg.give(exchange.tries.pending === undefined ? "failed" : "unknown"),
    );
    wheel.arm(timeout, timeoutMs);
    exchange.atEnd(() => wheel.cancel(timeout));
    host.serve(exchange, false);
    exchange.settle();
    return () => leg.stop();
  };
}

/** The side of a check where a request has its client. */
class ProbeLeg implements DownstreamLeg {
  readonly peer: Peer = ownPeer;
  readonly environment: Environment;
  readonly protocol: DownstreamLeg["protocol"];
  readonly joinsBodies = false;
  readonly #asked: Asked;
  readonly #tell: (result: ProbeResult) => void;
  #exchange: Exchange | undefined;
  #body = nothing;

  constructor(asked: Asked, tell: (result: ProbeResult) => void) {
    this.environment = asked.environment;
    this.protocol = asked.protocol;
    this.#asked = asked;
    this.#tell = tell;
  }

  begin(head: Head, whole: string, host: Host): Exchange {
    const { text, body, environment } = this.#asked;
    const path = whole.slice(head.targetStart, head.targetEnd);
    const target = parseTarget(path, this.#asked.method) ?? {
      path,
      query: "",
      authority: undefined,
    };
    const exchange = new Exchange(this, head, whole, target, "", environment.now());
    exchange.isGrpc = body.length > 0;
    exchange.outgoing = text;
    // A pooled connection that was closed just as it was taken says nothing: once more, on a new one.
    exchange.attempt = () => host.serve(exchange, true);
    exchange.offerFirst(body, 0, body.length, true);
    this.#exchange = exchange;
    return exchange;
  }

  /** The result is known; what is still under way is of no use. */
  give(result: ProbeResult): void {
    this.#tell(result);
    this.stop();
  }

  stop(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || exchange.isOver) return;
    exchange.tries.epoch++; // a connection that is still being made is not for it
    exchange.onDownstreamClosed();
  }

  // ---- DownstreamLeg ---------------------------------------------------------------------------

  holdOff(): void {}
  writeLocal(exchange: Exchange): void {
    // There was no answer; where our own limit on connections was reached, not even a question.
    this.#tell(exchange.flag === "UO" ? "unknown" : "failed");
  }

  writeResponse(
    _exchange: Exchange,
    head: Head,
    _text: string,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const result = this.#asked.onHead(head.status);
    if (result !== undefined) this.#tell(result);
    this.#keep(bytes, start, end);
  }

  writeResponseBody(_exchange: Exchange, bytes: Buffer, start: number, end: number): void {
    this.#keep(bytes, start, end);
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const room = maxBodyBytes - this.#body.length;
    if (room <= 0 || start === end) return;
    this.#body = Buffer.concat([this.#body, bytes.subarray(start, Math.min(end, start + room))]);
  }

  writeResponseEnd(exchange: Exchange): void {
    const result = this.#asked.onEnd(exchange, this.#body);
    if (result !== undefined) this.#tell(result);
  }

  breakOff(): void {
    this.#tell("failed");
  }

  switchProtocols(): undefined {
    return undefined;
  }

  pause(): void {}
  resume(): void {}
  writeInterim(): void {}
  onExchangeOver(): void {}
}

/** All that is looked at of an answer. */
const maxBodyBytes = 64;

// ---- bytes -------------------------------------------------------------------------------------

type BytesProbe = Extract<HealthProbe, { kind: "tcp" }>;

/** A check that asks for more than this in return waits in vain. */
const maxReceivedBytes = 64 * 1024;

function bytesProbe(probe: BytesProbe, { wheel }: Environment): Probe {
  const send = Buffer.from(probe.send, "hex");
  const wanted = probe.receive.map((hex) => Buffer.from(hex, "hex"));
  return (host, timeoutMs, tell) => {
    const told = once(tell);
    let transport: Transport | undefined;
    let received = nothing;
    const finish = (result: ProbeResult) => {
      wheel.cancel(timeout);
      transport?.destroy();
      told(result);
    };
    const timeout = new Timeout(() => finish("failed"));
    const reader: Reader = {
      onBytes: (bytes, length) => {
        received = Buffer.concat([received, bytes.subarray(0, length)]);
        if (hasAll(received, wanted)) finish("passed");
        else if (received.length > maxReceivedBytes) finish("failed");
      },
      onEnd: () => finish("failed"),
      onDrain: () => {},
      onClose: () => finish("failed"),
    };
    wheel.arm(timeout, timeoutMs);
    transport = host.connectApart(reader, (connected) => {
      if (send.length > 0) connected.writeOwned(send, () => {});
      if (wanted.length === 0) finish("passed");
    });
    return () => finish("failed");
  };
}

/** Whether all parts are in the bytes, in this order. */
function hasAll(bytes: Buffer, parts: readonly Buffer[]): boolean {
  let from = 0;
  for (const part of parts) {
    const at = bytes.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return true;
}
