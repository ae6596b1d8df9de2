/**
 * The last handler of a forwarding route: cluster by weight, the head that goes out, then a host and its connection.
 *
 * The head is composed once per exchange, on the handler's own time, while the request's bytes are still in place;
 * every try sends the same head, but for its number and what time is left. What is put in: `x-request-id` and
 * `x-forwarded-proto` where they are missing, its place in its trace, which try it is, how long the route waits
 * (expected-wait.ts), and what the path and the host were before a rewrite (all Envoy's); the caller's verified
 * certificate as `x-forwarded-client-cert`; and the configured edits.
 */

import type { HashKey, RouteAction, RouteMatch } from "../../model/proxy-config.ts";
import { chunkedLine, keptFields, ownMark } from "../codec/heads.ts";
import { linesFor } from "../config/header-edits.ts";
import { compileRewrite } from "../config/path-rewrite.ts";
import type { Destination } from "../config/route-table.ts";
import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Handler } from "../stack/handler.ts";
import { notFromOutside } from "../stack/request.ts";
import { expectedWait, waitOfCalls, withLessWait } from "./expected-wait.ts";
import { hashKey } from "./hash-key.ts";
import { type Mirroring, sendCopies } from "./mirror.ts";
import { newRequestIdLine } from "./request-id.ts";

type Forward = Extract<RouteAction, { kind: "forward" }>;

export interface Forwarding {
  readonly match: RouteMatch;
  readonly action: Forward;
  readonly mirroring: Mirroring | undefined;
}

export function router(
  destinations: readonly Destination[],
  forwarding: Forwarding,
  environment: Environment,
): Handler {
  const choose = chooser(destinations, environment);
  const { hostRewrite, hash } = forwarding.action;
  const rewrite = compileRewrite(forwarding.match, forwarding.action);
  const changes: Changes = {
    rewrite,
    hostRewrite,
    replaced: [
      ...(rewrite === undefined ? [] : ["x-envoy-original-path"]),
      ...(hostRewrite === undefined ? [] : ["x-envoy-original-host"]),
    ],
    notes: firstTry + expectedWait(forwarding.action),
    waitOfCall: waitOfCalls(forwarding.action),
  };
  const { mirroring } = forwarding;
  const wish = wishOf(hash ?? [], destinations);
  return (exchange) => {
    const destination = choose();
    const cluster = destination?.cluster;
    if (destination === undefined || cluster === undefined) {
      exchange.respond(503, "NC", "", "cluster_not_found");
      return;
    }
    exchange.cluster = cluster;
    exchange.editResponse(destination.responseEdit);
    exchange.attempt = sendOnce;
    wish?.(exchange, destination);
    exchange.outgoing = compose(exchange, destination, changes);
    mirroring?.(exchange);
    sendOnce(exchange);
    if (exchange.shadows !== undefined) sendCopies(exchange.shadows, sendOnce);
  };
}

/** Notes by which key a host is chosen, and among which; undefined where a route says nothing of that. */
function wishOf(
  hash: readonly HashKey[],
  destinations: readonly Destination[],
): ((exchange: Exchange, destination: Destination) => void) | undefined {
  const key = hash.length === 0 ? undefined : hashKey(hash);
  if (destinations.every(({ subset }) => subset === undefined)) return key;
  return (exchange, destination) => {
    key?.(exchange);
    exchange.subset = destination.subset;
  };
}

/** One try: a host of the exchange's cluster, and a connection to it. */
export function sendOnce(exchange: Exchange): void {
  const { cluster, peer, hashKey, subset } = exchange;
  if (cluster === undefined) return;
  if (!cluster.load.mayRequest()) {
    exchange.onFailure("overflow");
    return;
  }
  const host = cluster.pick(
    peer.destinationAddress,
    peer.destinationPort,
    exchange.tries,
    hashKey,
    subset,
  );
  if (host === undefined) {
    exchange.onFailure("no-host");
    return;
  }
  const isAgain = exchange.host !== undefined;
  exchange.beginAttempt(host);
  if (isAgain) exchange.outgoing = headAgain(exchange, exchange.attempts);
  host.serve(exchange, isAgain);
}

const firstTry = tryNumber(1);

function tryNumber(attempt: number): string {
  return `x-envoy-attempt-count: ${attempt}\r\n`;
}

/** The head of a later try. The line of its number is ours: one that came in was dropped. */
export function headAgain(exchange: Exchange, attempt: number): string {
  return withLessWait(exchange).replace(/^x-envoy-attempt-count: \d+\r\n/m, tryNumber(attempt));
}

/** What a route changes in every head. */
interface Changes {
  readonly rewrite: ((path: string) => string) | undefined;
  readonly hostRewrite: string | undefined;
  /** Names of the fields that say what was there before. */
  readonly replaced: readonly string[];
  /** Complete lines. */
  readonly notes: string;
  readonly waitOfCall: ReturnType<typeof waitOfCalls>;
}

function originals(exchange: Exchange, { rewrite, hostRewrite }: Changes): string {
  const { path, query, authority } = exchange;
  return (
    (rewrite === undefined ? "" : `x-envoy-original-path: ${path}${query}\r\n`) +
    (hostRewrite === undefined ? "" : `x-envoy-original-host: ${authority}\r\n`)
  );
}

function compose(exchange: Exchange, destination: Destination, changes: Changes): string {
  const { head, text, peer } = exchange;
  const { rewrite, hostRewrite, replaced } = changes;
  let { notes } = changes;
  const edit = destination.requestEdit;
  const path = rewrite === undefined ? exchange.path : rewrite(exchange.path);
  const target = `${path}${exchange.query}`;
  const isUntouched =
    text.charCodeAt(head.startLineEnd - 1) === 49 && // HTTP/1.1 and no later minor
    head.targetEnd - head.targetStart === target.length &&
    text.startsWith(target, head.targetStart);
  let dropped = edit?.dropped;
  const authority = edit?.authority ?? hostRewrite ?? exchange.targetAuthority;
  if (authority !== undefined) dropped = new Set([...(dropped ?? []), "host"]);
  if (replaced.length > 0) dropped = new Set([...(dropped ?? []), ...replaced]);
  if (exchange.isGrpc) {
    const { lines, replacesCallers } = changes.waitOfCall(exchange, edit?.dropped);
    notes = firstTry + lines;
    if (replacesCallers) dropped = new Set([...(dropped ?? []), "grpc-timeout"]);
  }
  if (exchange.isFromOutside) {
    dropped = dropped === undefined ? notFromOutside : new Set([...dropped, ...notFromOutside]);
  }
  const { trace } = exchange;
  if (trace !== undefined) dropped = new Set([...(dropped ?? []), ...trace.replaced]);
  let out = "";
  if (isUntouched && authority === undefined) {
    out = keptFields(head, text, exchange.drops, dropped, head.lineStart);
  } else {
    out = `${exchange.method} ${target} HTTP/1.1\r\n`;
    if (authority !== undefined) out += `host: ${authority}\r\n`;
    out += keptFields(head, text, exchange.drops, dropped);
  }
  if (head.isChunked) out += chunkedLine;
  if (exchange.requestIdLine === "" && head.fieldAt(ownMark.requestId) < 0) {
    exchange.requestIdLine = newRequestIdLine();
  }
  out += exchange.requestIdLine;
  if (exchange.isFromOutside) out += forwardedLines(exchange);
  else if (head.fieldAt(ownMark.forwardedProto) < 0) {
    out += peer.principal === undefined ? plainProto : securedProto;
  }
  if (trace !== undefined) out += trace.lines;
  out += notes;
  if (replaced.length > 0) out += originals(exchange, changes);
  if (peer.forwardedCertificate !== undefined) {
    out += `x-forwarded-client-cert: ${peer.forwardedCertificate}\r\n`;
  }
  if (exchange.wantsUpgrade) out += "connection: upgrade\r\n";
  return edit === undefined ? out : out + linesFor(edit, exchange);
}

const plainProto = "x-forwarded-proto: http\r\n";
const securedProto = "x-forwarded-proto: https\r\n";

function forwardedLines(exchange: Exchange): string {
  const { forwardedFor, scheme, remoteAddress } = exchange;
  return `x-forwarded-for: ${forwardedFor}\r\nx-forwarded-proto: ${scheme}\r\nx-envoy-external-address: ${remoteAddress}\r\n`;
}

function chooser(
  destinations: readonly Destination[],
  environment: Environment,
): () => Destination | undefined {
  const [only] = destinations;
  if (destinations.length <= 1) return () => only;
  const total = destinations.reduce((sum, destination) => sum + destination.weight, 0);
  return () => {
    let point = environment.random() * total;
    for (const destination of destinations) {
      point -= destination.weight;
      if (point < 0) return destination;
    }
    return destinations.at(-1);
  };
}
