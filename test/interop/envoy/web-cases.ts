/**
 * The table's part about gRPC-Web, both ways of HTTP. Bodies are compared as messages and trailers: how these are cut into
 * base64, and whether a space stands behind a colon, is each proxy's own.
 */

import { framed } from "../../../src/proxy/testing/grpc-web.ts";
import type { Case, ListenerName } from "./cases.ts";

interface Asked {
  readonly type?: string;
  readonly to?: ListenerName;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly method?: string;
}

type Host = `${string}.test`;

/** The same question in HTTP/1.1 and in HTTP/2. */
function both(
  name: string,
  host: Host,
  path: string,
  { type = "application/grpc-web", to = "open", fields = {}, body, method = "POST" }: Asked = {},
  differs: Case["differs"] = {},
): readonly Case[] {
  const sent = body ?? (type.includes("text") ? text : binary);
  const all = { "content-type": type, ...fields };
  const lines = Object.entries(all).map(([field, value]) => `${field}: ${value}`);
  const length = `content-length: ${sent.length}`;
  return [
    {
      name: `a call of gRPC-Web ${name}`,
      to,
      question: {
        kind: "http1",
        head: [`${method} ${path} HTTP/1.1`, `host: ${host}`, ...lines, length],
        body: sent,
      },
      differs,
    },
    {
      name: `a call of gRPC-Web in HTTP/2 ${name}`,
      to,
      question: {
        kind: "http2",
        fields: { ":method": method, ":authority": host, ":path": path, ...all },
        body: sent,
      },
      differs,
    },
  ];
}

function refused(name: string, host: Host, path: string, asked?: Asked): readonly Case[] {
  return both(name, host, path, asked, { status: callsStatus });
}

/** The status of HTTP, that is: Envoy says 503, say. */
const callsStatus =
  "200, as to a call of gRPC: beside another status Google's client reads neither grpc-status nor grpc-message";
const path = "/shop.Cart/Get";
const binary = framed("hello").toString("latin1");
const text = framed("hello").toString("base64");
const answers = { "x-do": "call" };

export const webCases: readonly Case[] = [
  ...both("that is answered", "h2.test", path, { fields: answers }),
  ...both("with its codec named", "h2.test", path, {
    type: "application/grpc-web+proto",
    fields: answers,
  }),
  ...both("in base64", "h2.test", path, {
    type: "application/grpc-web-text",
    fields: { ...answers, accept: "application/grpc-web-text" },
  }),
  ...both(
    "in base64 that accepts anything",
    "h2.test",
    path,
    { type: "application/grpc-web-text", fields: answers },
    { "field content-type": "who sends base64 wants base64" },
  ),
  ...both("that wants its answer in base64", "h2.test", path, {
    fields: { ...answers, accept: "application/grpc-web-text+proto" },
  }),
  ...both("that takes compressed messages", "h2.test", path, {
    fields: { ...answers, "grpc-accept-encoding": "gzip" },
  }),
  ...both("that fails in its one head", "h2.test", path, { fields: { "x-do": "call=9" } }),
  ...both("that is answered by no gRPC", "h2.test", path, { fields: { "x-do": "status=503" } }),
  ...both("that is answered by no gRPC, with 200", "h2.test", path),

  // what proxies answer themselves
  ...refused("with base64 of a wrong length", "h2.test", path, {
    type: "application/grpc-web-text",
    fields: answers,
    body: "AAAAAAV",
  }),
  ...refused("with what is no base64", "h2.test", path, {
    type: "application/grpc-web-text",
    fields: answers,
    body: "AAAA!!!!",
  }),
  ...refused("to an unknown host", "unknown.test", path),
  ...refused("to a cluster without endpoints", "empty.test", path),
  ...refused("to an endpoint that refuses connections", "dead.test", path),
  ...refused("that takes too long", "time.test", "/timeout", { fields: { "x-do": "delay=1500" } }),
  ...refused("that is aborted on purpose", "fault.test", "/abort"),
  ...refused("that the configuration answers", "respond.test", "/body"),
  ...refused("that no policy allows", "guarded.test", path, { to: "guarded" }),
];
