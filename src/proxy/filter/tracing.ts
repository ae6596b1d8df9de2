/**
 * Tracing: each request is a span below the span of whoever sent it, and goes on with that place.
 *
 * Whether a trace is told of is decided where it begins; what came with a decision keeps it. All tries of a request are
 * one span, named as Istio names it, and an endpoint below it sees the same place whichever try reached it. Requests that
 * nobody is told of carry their place on, too.
 *
 * Not here: the forms of the place (wire/tracing), and how spans get to their collector (observe/span-exporter.ts).
 */

import { randomBytes } from "node:crypto";
import type { Direction, Tracing } from "../../model/proxy-config.ts";
import { hasPlace, readTrace, renderTrace, traceFields } from "../../wire/tracing/context.ts";
import type { Span } from "../../wire/tracing/otlp.ts";
import type { Environment } from "../environment.ts";
import type { SpanExporter } from "../observe/span-exporter.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";

/** What a request says of its trace to its endpoint. */
export interface TracePlace {
  readonly traceId: string;
  /** Complete lines. */
  readonly lines: string;
  /** Fields that they replace. */
  readonly replaced: readonly string[];
}

const allTraceFields: readonly string[] = [...traceFields, "tracestate"];

export function tracing(
  { percent }: Tracing,
  direction: Direction,
  exporter: SpanExporter,
  environment: Environment,
): Filter {
  return (next) => (exchange) => {
    const came = readTrace((name) => exchange.field(name));
    const isBelow = hasPlace(came);
    const traceId = isBelow ? came.traceId : randomBytes(16).toString("hex");
    const parentId = isBelow ? came.parentId : undefined;
    const spanId = randomBytes(8).toString("hex");
    const isSampled = came.isSampled ?? environment.random() * 100 < percent;
    exchange.trace = {
      traceId,
      lines: renderTrace({ traceId, parentId, isSampled }, spanId, came.forms),
      // `tracestate` goes with the `traceparent` that it came with.
      replaced: came.forms.has("w3c") ? traceFields : allTraceFields,
    };
    if (isSampled) {
      const asked = askedFor(exchange);
      exchange.atEnd((over) => {
        const endedAt = environment.epochMs();
        exporter.add({
          ...{ traceId, spanId, parentId, endedAt },
          name: nameOf(over),
          kind: direction === "inbound" ? "server" : "client",
          startedAt: endedAt - (over.endedAt - over.startedAt),
          hasFailed: over.status === 0 || over.outcome(over.status) >= 500,
          attributes: { ...asked, ...outcomeOf(over), node_id: environment.node.id },
        });
      });
    }
    next(exchange);
  };
}

/** Istio's: the host that the destination is known by, and no path, of which there may be any number. */
function nameOf({ cluster, authority }: Exchange): string {
  const service = cluster?.config.service;
  return service === undefined ? cut(authority) : `${service.host}:${service.port}/*`;
}

/** What the request says of itself, while its bytes are here. */
function askedFor(exchange: Exchange): Span["attributes"] {
  const { method, path, query, authority, scheme, protocol, peer } = exchange;
  return {
    component: "proxy",
    "http.method": cut(method),
    "http.url": cut(`${scheme}://${authority}${path}${query}`),
    "http.protocol": protocol,
    user_agent: cut(exchange.field("user-agent")),
    "guid:x-request-id": cut(exchange.field("x-request-id")),
    "peer.address": peer.sourceAddress,
    downstream_cluster: peer.principal,
  };
}

/** Envoy's for URLs. Clients may say anything at any length, and spans wait for each other. */
const maxLength = 256;

function cut<Text extends string | undefined>(text: Text): Text | string {
  return text === undefined ? text : text.slice(0, maxLength);
}

function outcomeOf(over: Exchange): Span["attributes"] {
  const { status, flag, cluster, host, requestBytes, headBytes, givenRequestId } = over;
  return {
    "http.status_code": String(status),
    response_flags: flag,
    request_size: String(requestBytes - headBytes),
    response_size: String(over.responseBytes - over.responseHeadBytes),
    ...(givenRequestId === undefined ? {} : { "guid:x-request-id": givenRequestId }),
    upstream_cluster: cluster?.name,
    "upstream_cluster.name": cluster?.name,
    upstream_address: host === undefined ? undefined : `${host.address}:${host.port}`,
    ...(over.isGrpc ? { "grpc.path": cut(over.path), "grpc.status_code": over.grpcStatus } : {}),
  };
}
