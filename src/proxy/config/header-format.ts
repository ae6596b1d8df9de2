/**
 * Values of edited fields that say something of the request or, on the way back, of its answer: Envoy's `%NAME%`. `%%` is a
 * percent sign. What is none of the names below stays as it is written.
 *
 * A field whose value comes to nothing is not put in, as with Envoy: in a request nothing is known of its answer.
 */

import type { RequestRecord } from "../stack/request-record.ts";
import { formatTime } from "./header-time.ts";

type Say = (exchange: RequestRecord) => string;

/**
 * How a value is made: of the request alone, while its bytes are in place; or begun then, and completed when there is an
 * answer.
 */
export type Format =
  | { readonly kind: "of-request"; readonly say: Say }
  | { readonly kind: "of-answer"; readonly begin: (exchange: RequestRecord) => () => string };

const names: Readonly<Record<string, Say>> = {
  DOWNSTREAM_REMOTE_ADDRESS: ({ peer, remoteAddress }) =>
    joined(remoteAddress, remoteAddress === peer.sourceAddress ? peer.sourcePort : 0),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ remoteAddress }) => remoteAddress,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ peer }) => joined(peer.sourceAddress, peer.sourcePort),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ({ peer }) => peer.sourceAddress,
  DOWNSTREAM_LOCAL_ADDRESS: ({ peer }) => joined(peer.destinationAddress, peer.destinationPort),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ peer }) => peer.destinationAddress,
  DOWNSTREAM_LOCAL_PORT: ({ peer }) => String(peer.destinationPort),
  DOWNSTREAM_PEER_URI_SAN: ({ peer }) =>
    peer.principal === undefined ? "" : `spiffe://${peer.principal}`,
  PROTOCOL: ({ protocol }) => protocol,
  START_TIME: ({ downstream }) => new Date(downstream.environment.epochMs()).toISOString(),
  HOSTNAME: ({ downstream }) => downstream.environment.node.pod,
  ROUTE_NAME: ({ route }) => route?.name ?? "",
  UPSTREAM_CLUSTER: ({ cluster }) => cluster?.name ?? "",
  TRACE_ID: ({ trace }) => trace?.traceId ?? "",
};

const namesOfAnswer: Readonly<Record<string, Say>> = {
  RESPONSE_CODE: ({ status }) => (status === 0 ? "" : String(status)),
  RESPONSE_CODE_DETAILS: ({ status, details }) => (status === 0 ? "" : details),
  RESPONSE_FLAGS: ({ status, flag }) => (status === 0 ? "" : flag),
  UPSTREAM_HOST: ({ host }) => (host === undefined ? "" : joined(host.address, host.port)),
  UPSTREAM_REMOTE_ADDRESS: ({ host }) =>
    host === undefined ? "" : joined(host.address, host.port),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ host }) => host?.address ?? "",
  UPSTREAM_REMOTE_PORT: ({ host }) => (host === undefined ? "" : String(host.port)),
};

const ofAnswer: ReadonlySet<Say> = new Set(Object.values(namesOfAnswer));

/** The text, or how it is made. */
export function compileFormat(text: string): string | Format {
  const parts = text
    .split(/(%%|%[A-Z_]+%|%REQ\([^()%]+\)(?::\d+)?%|%START_TIME\([^()]+\)%)/)
    .map(partOf);
  if (parts.every((part) => typeof part === "string")) return parts.join("");
  const isLate = (part: string | Say): boolean => typeof part !== "string" && ofAnswer.has(part);
  if (!parts.some(isLate)) return { kind: "of-request", say: (exchange) => said(parts, exchange) };
  const begin = (exchange: RequestRecord) => {
    const known = parts.map((part) => (isLate(part) ? part : said([part], exchange)));
    return () => said(known, exchange);
  };
  return { kind: "of-answer", begin };
}

function said(parts: readonly (string | Say)[], exchange: RequestRecord): string {
  return parts.map((part) => (typeof part === "string" ? part : part(exchange))).join("");
}

function partOf(text: string): string | Say {
  if (text === "%%") return "%";
  const request = /^%REQ\(([^()%]+)\)(?::(\d+))?%$/.exec(text);
  if (request !== null) return requestField(request[1] ?? "", request[2]);
  const time = /^%START_TIME\(([^()]+)\)%$/.exec(text)?.[1];
  if (time !== undefined) {
    return ({ downstream }) => formatTime(time, downstream.environment.epochMs());
  }
  const name = /^%([A-Z_]+)%$/.exec(text)?.[1] ?? ""; // what stands between two of them has none
  return names[name] ?? namesOfAnswer[name] ?? text;
}

/** `X?Y`: Y where there is no X; at most so many characters. */
function requestField(written: string, most: string | undefined): Say {
  const wanted = written.toLowerCase().split("?");
  const length = most === undefined ? undefined : Number(most);
  return (exchange) => {
    const found = wanted.map((name) => exchange.field(name)).find((value) => value !== undefined);
    return (found ?? "").slice(0, length);
  };
}

function joined(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
