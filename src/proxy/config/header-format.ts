/**
 * Values of edited fields that say something of the request: Envoy's `%NAME%`, as far as it is known when the request goes
 * out. `%%` is a percent sign. What is none of the names below stays as it is written.
 *
 * A field whose value comes to nothing is not put in, as with Envoy.
 */

import type { RequestRecord } from "../stack/request-record.ts";

type Say = (exchange: RequestRecord) => string;

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

/** The text, or how it is made for a request. */
export function compileFormat(text: string): string | Say {
  const parts = text.split(/(%%|%[A-Z_]+%|%REQ\([^()%]+\)(?::\d+)?%)/).map(partOf);
  if (parts.every((part) => typeof part === "string")) return parts.join("");
  return (exchange) =>
    parts.map((part) => (typeof part === "string" ? part : part(exchange))).join("");
}

function partOf(text: string): string | Say {
  if (text === "%%") return "%";
  const request = /^%REQ\(([^()%]+)\)(?::(\d+))?%$/.exec(text);
  if (request !== null) return requestField(request[1] ?? "", request[2]);
  const name = /^%([A-Z_]+)%$/.exec(text)?.[1] ?? ""; // what stands between two of them has none
  return names[name] ?? text;
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
