/**
 * The table: what is asked, and where the answers differ and why. A difference that is not here fails, and so does one
 * that is here and has vanished.
 */

import type { Question } from "./asking.ts";

export type ListenerName = "open" | "guarded" | "secured";
export type CallerName = "web" | "stranger";

export interface Case {
  readonly name: string;
  readonly to: ListenerName;
  /** Who asks, in mutual TLS; nobody in particular without. */
  readonly as?: CallerName;
  readonly question: Question;
  /** By the name that `asking.ts` gives to a part of the answer. */
  readonly differs?: Readonly<Record<string, string>>;
}

interface Parts {
  readonly method?: string;
  /** Lines beside Host. */
  readonly fields?: readonly string[];
  readonly body?: string;
}

function http1(
  host: string,
  target: string,
  { method = "GET", fields = [], body }: Parts = {},
): Question {
  const length = body === undefined ? [] : [`content-length: ${Buffer.byteLength(body)}`];
  return {
    kind: "http1",
    head: [`${method} ${target} HTTP/1.1`, `host: ${host}`, ...fields, ...length],
    ...(body === undefined ? {} : { body }),
  };
}

function open(
  name: string,
  host: string,
  target: string,
  parts: Parts = {},
  differs?: Case["differs"],
): Case {
  const question = http1(host, target, parts);
  return { name, to: "open", question, ...(differs === undefined ? {} : { differs }) };
}

function guarded(name: string, target: string, parts: Parts = {}, differs?: Case["differs"]): Case {
  return { ...open(name, "guarded.test", target, parts, differs), to: "guarded" };
}

function secured(
  name: string,
  as: CallerName,
  target: string,
  parts: Parts = {},
  differs?: Case["differs"],
): Case {
  return { ...open(name, "secured.test", target, parts, differs), to: "secured", as };
}

function raw(
  name: string,
  head: readonly string[],
  body?: string,
  differs?: Case["differs"],
): Case {
  return {
    name,
    to: "open",
    question: { kind: "http1", head, ...(body === undefined ? {} : { body }) },
    ...(differs === undefined ? {} : { differs }),
  };
}

function http2(
  name: string,
  host: string,
  path: string,
  more: Partial<Extract<Question, { kind: "http2" }>> = {},
  differs?: Case["differs"],
): Case {
  const fields = { ":authority": host, ":path": path, ...more.fields };
  const question: Question = { ...more, kind: "http2", fields };
  return { name, to: "open", question, ...(differs === undefined ? {} : { differs }) };
}

const call = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
const asks = (what: string) => [`x-do: ${what}`];
const preflight = (origin: string) => ({
  method: "OPTIONS",
  fields: [`origin: ${origin}`, "access-control-request-method: GET"],
});

const saysWhy = "ours says so in the body, too, as both do for what cannot be parsed";
const bodyOf400 = { "field content-length": saysWhy, "field content-type": saysWhy, body: saysWhy };
const preflightExposes = "means nothing in a preflight's answer (Fetch, CORS protocol)";
const withoutOrigin = "without access-control-allow-origin a browser reads none of it";
const trailersGoOn =
  "Envoy's HTTP/1.1 drops trailers unless told otherwise; ours passes them on (RFC 9110 §6.5)";
const interimGoesOn = "a proxy passes interim answers on (RFC 9110 §15.2); Envoy knows 100 alone";
const emptyLength = "HTTP/2 needs none; harmless, and the same bytes as in HTTP/1.1";
const verifiedAlone =
  "says who the certificate names, and nothing that the caller says of himself; By and Hash are Envoy's own";
const noTime =
  "DEADLINE_EXCEEDED: the caller's time is over; UNAVAILABLE would invite it to try again";

export const cases: readonly Case[] = [
  // paths
  open("an exact path", "paths.test", "/exact"),
  open("an exact path with a query", "paths.test", "/exact?a=1"),
  open("an exact path with a slash more", "paths.test", "/exact/"),
  open("a path below a prefix that ends with a slash", "paths.test", "/shop/cart"),
  open("the same prefix without its slash", "paths.test", "/shop"),
  open("a path that goes on where a bare prefix ends", "paths.test", "/barefoot"),
  open("a path that an expression takes whole", "paths.test", "/v12/items/7"),
  open("a path that an expression takes only in part", "paths.test", "/v12/items/7/parts"),
  open("an expression with a named group and a class", "paths.test", "/named/42"),
  open("what such an expression does not take", "paths.test", "/named/x"),
  open("a path in other letters, where case does not matter", "paths.test", "/cAsE/x"),
  open("a path in other letters, where case matters", "paths.test", "/EXACT"),
  open("dot segments", "paths.test", "/other/../exact"),
  open(
    "dot segments that climb above the root",
    "paths.test",
    "/../exact",
    {},
    { status: "climbing out of the root is a mistake or an attack: refused, not bent" },
  ),
  open("an escaped letter", "paths.test", "/%65xact"),
  open("escaped dots", "paths.test", "/other/%2e%2e/exact"),
  open(
    "an escaped slash",
    "paths.test",
    "/shop%2fcart",
    {},
    { "sent request": "escapes are written in one case (RFC 3986 §6.2.2.1)" },
  ),
  open("several slashes in a row", "paths.test", "/shop//cart"),
  open("slashes in a row in front", "paths.test", "//exact"),
  open("a backslash", "paths.test", "/shop\\cart"),
  open("a semicolon and what comes after", "paths.test", "/exact;x=1"),
  open("an escaped NUL", "paths.test", "/shop/%00", {}, bodyOf400),
  open(
    "a broken escape",
    "paths.test",
    "/shop/%zz",
    {},
    { status: "what is no escape is read differently by every application" },
  ),
  open("a fragment", "paths.test", "/exact#part", {}, bodyOf400),

  // hosts
  open("a host in other letters", "PLAIN.test", "/"),
  open("a host with a port that no route names", "plain.test:81", "/"),
  open(
    "a host with the port that a route names",
    "ported.test:8080",
    "/",
    {},
    {
      "sent field x-route":
        "told to ignore ports, Envoy never finds a domain with one; ours looks with it first",
    },
  ),
  open("the same host without a port", "ported.test", "/"),
  open("a host below a wildcard", "a.wild.test", "/"),
  open("a host below two wildcards", "a.longer.wild.test", "/"),
  open("a wildcard's own suffix", "wild.test", "/"),
  open("a host that begins as a wildcard does", "start.anything", "/"),
  open("a host that nobody has", "unknown.test", "/"),
  raw("a request without Host", ["GET / HTTP/1.1"], undefined, bodyOf400),
  raw(
    "a request with two Hosts",
    ["GET / HTTP/1.1", "host: plain.test", "host: paths.test"],
    undefined,
    {
      status: "such a request is refused (RFC 9112 §3.2); Envoy joins both and finds no such host",
    },
  ),

  // headers, query
  open("a field's whole value", "headers.test", "/", { fields: ["x-kind: one"] }),
  open("a field's beginning", "headers.test", "/", { fields: ["x-kind: two-and-more"] }),
  open("a field's end", "headers.test", "/", { fields: ["x-kind: twenty-three"] }),
  open("an expression over a field", "headers.test", "/", { fields: ["x-kind: fade"] }),
  open("a field that is there, and empty", "headers.test", "/", {
    fields: ["x-here:", "x-kind: four"],
  }),
  open("a field that has not the value", "headers.test", "/", { fields: ["x-kind: 5"] }),
  open("a field that has the value that it must not have", "headers.test", "/", {
    fields: ["x-kind: four"],
  }),
  open("a field that is absent and must not have a value", "headers.test", "/"),
  open("a field that is absent and must be", "absent.test", "/"),
  open("a field that is there and must be absent", "absent.test", "/", { fields: ["x-gone: 1"] }),
  open("a field that is there, empty, and must be absent", "absent.test", "/", {
    fields: ["x-gone:"],
  }),
  open("a field that comes twice", "headers.test", "/", {
    fields: ["x-kind: one", "x-kind: four"],
  }),
  open("a method", "headers.test", "/", { method: "POST", fields: ["x-kind: four"], body: "" }),
  open("a query parameter's value", "query.test", "/?q=a%20b"),
  open("a query parameter's value with a plus", "query.test", "/?q=a+b"),
  open("an expression over a query parameter", "query.test", "/?q=42"),
  open("a query parameter that is there, without a value", "query.test", "/?p"),
  open("a query parameter that comes twice", "query.test", "/?q=x&q=42"),
  open("no query parameter", "query.test", "/"),

  // weights, rewrites, redirects, direct responses
  open("a request within a rate limit", "limited.test", "/once"),
  open(
    "a request beyond a rate limit",
    "limited.test",
    "/once",
    {},
    {
      "field x-envoy-ratelimited":
        "Envoy marks refusals of its rate limit service so, and of this filter only by configuration; here all are marked",
    },
  ),
  open("a request beside a rate limit", "limited.test", "/rest"),
  open("a request whose mirror is dead", "mirrored.test", "/"),
  open("an endpoint of the second priority", "ranked.test", "/"),
  open("localities that share by weight", "shared.test", "/"),
  open("endpoints that are watched", "watched.test", "/"),
  open("a cluster of weight 100, and its edits", "weights.test", "/", {
    fields: asks("add=x-internal:1"),
  }),
  open("a prefix rewritten", "rewrite.test", "/api/users?id=1"),
  open("a bare prefix rewritten to the root", "rewrite.test", "/bare/x"),
  open("a whole path rewritten", "rewrite.test", "/one?id=1"),
  open("groups of an expression swapped", "rewrite.test", "/swap/a/b?x=/swap/c/d"),
  open("a named group of an expression put elsewhere", "rewrite.test", "/named/42/x"),
  open("every match of an expression replaced", "rewrite.test", "/every/one"),
  open("the host rewritten", "rewrite.test", "/host"),
  open("the host rewritten by the chosen cluster", "host.test", "/"),
  open("a redirect to another host", "redirect.test", "/host?a=1"),
  open("a redirect to another path", "redirect.test", "/path?a=1"),
  open("a redirect of a prefix", "redirect.test", "/old/x?a=1"),
  open("a redirect to another scheme", "redirect.test", "/scheme"),
  open("a redirect to another scheme, of a host with a port", "redirect.test:80", "/scheme"),
  open("a redirect to another port", "redirect.test", "/port"),
  open(
    "a redirect to a scheme's own port",
    "redirect.test",
    "/default-port",
    {},
    { "field location": "the same place; Gateway API wants it without the port" },
  ),
  open("a redirect of everything", "redirect.test", "/all?a=1"),
  open("a redirect of a host with a port", "redirect.test:8080", "/path"),
  open("an answer out of the configuration", "respond.test", "/body"),
  open("the same to HEAD", "respond.test", "/body", { method: "HEAD" }),
  open("an answer without a body out of the configuration", "respond.test", "/empty"),

  // edits
  open("edits of a request", "edits.test", "/request", {
    fields: ["x-set: old", "x-add: first", "x-gone: here"],
  }),
  open("edits of a request that has none of the fields", "edits.test", "/request"),
  open("edits of an answer", "edits.test", "/response", { fields: asks("add=x-app:app") }),
  open("removal from an answer", "edits.test", "/response", { fields: asks("add=x-internal:1") }),
  open("a field added to one that the answer has", "edits.test", "/append", {
    fields: asks("add=x-app:app"),
  }),

  // CORS, faults
  open("a preflight from an origin that may", "cors.test", "/", preflight("https://shop.test"), {
    "field access-control-expose-headers": preflightExposes,
  }),
  open(
    "a preflight from an origin that an expression takes",
    "cors.test",
    "/",
    preflight("https://x.friends.test"),
    { "field access-control-expose-headers": preflightExposes },
  ),
  open(
    "a preflight from an origin that may not",
    "cors.test",
    "/",
    preflight("https://evil.test"),
    {
      "field access-control-allow-credentials": withoutOrigin,
      "field access-control-allow-methods": withoutOrigin,
      "field access-control-allow-headers": withoutOrigin,
      "field access-control-max-age": withoutOrigin,
    },
  ),
  open("a request from an origin that may", "cors.test", "/", {
    fields: ["origin: https://shop.test"],
  }),
  open("a request from an origin that may not", "cors.test", "/", {
    fields: ["origin: https://evil.test"],
  }),
  open("a request without an origin", "cors.test", "/"),
  open(
    "OPTIONS that is no preflight",
    "cors.test",
    "/",
    {
      method: "OPTIONS",
      fields: ["origin: https://shop.test"],
    },
    { "sent field content-length": "no body has no length (RFC 9110 §8.6)" },
  ),
  open("a request that is always aborted", "fault.test", "/abort"),
  open("a request that is always delayed", "fault.test", "/delay"),
  open("a request that is never aborted", "fault.test", "/none"),

  // timeouts, retries, endpoints that fail
  open("an answer that comes after the route's timeout", "time.test", "/timeout", {
    fields: asks("delay=1500"),
  }),
  open("an answer within the route's timeout", "time.test", "/timeout"),
  open("a try that takes too long, twice", "time.test", "/per-try", { fields: asks("delay=1500") }),
  open("a failure that is retried", "retry.test", "/5xx", { fields: asks("fail=2") }),
  open("more failures than retries", "retry.test", "/5xx", { fields: asks("fail=3") }),
  open("a failure that is the caller's", "retry.test", "/5xx", { fields: asks("status=404") }),
  open("a request with a body that is retried", "retry.test", "/5xx", {
    method: "POST",
    fields: asks("fail=1"),
    body: "again",
  }),
  open("a status that the policy names, each time", "retry.test", "/statuses", {
    fields: asks("status=409"),
  }),
  open("a status that the policy does not name", "retry.test", "/statuses", {
    fields: asks("status=503"),
  }),
  open("an endpoint that refuses connections, retried", "retry.test", "/dead"),
  open("an endpoint that refuses connections", "dead.test", "/"),
  open("an endpoint that hangs up", "plain.test", "/", { fields: asks("reset") }),
  open("a cluster without endpoints", "empty.test", "/"),
  open("a cluster that is not there", "missing.test", "/"),

  // authorization
  guarded("a request that a policy allows by a field and an address", "/", {
    fields: ["x-user: ann"],
  }),
  guarded("a request that no policy allows", "/"),
  guarded("a path that everybody may have, by its end", "/site.css"),
  guarded("a path that everybody may have, by an expression", "/public/images"),
  guarded("the same path with more behind", "/public/images/x"),
  guarded("a path that nobody may have", "/admin/users", { fields: ["x-user: ann"] }),
  guarded("the same path, written differently", "/public/../admin", { fields: ["x-user: ann"] }),
  guarded("the same path, with an escaped letter", "/%61dmin", { fields: ["x-user: ann"] }),
  guarded("the same path, with a slash more", "//admin", { fields: ["x-user: ann"] }),
  guarded("the same path, with a query", "/admin?x=.css", { fields: ["x-user: ann"] }),
  guarded("a method that nobody may use", "/", { method: "DELETE", fields: ["x-user: ann"] }),
  guarded("the same method at the one path where it may be used", "/own", {
    method: "DELETE",
    fields: ["x-user: ann"],
  }),
  guarded("an end of a path that is only the query's", "/secret?x=.css"),

  secured(
    "a caller whom a policy names",
    "web",
    "/",
    {},
    { "sent field x-forwarded-client-cert": verifiedAlone },
  ),
  secured("a caller whom no policy names", "stranger", "/"),
  secured(
    "a caller whom no policy names, at a path for everybody",
    "stranger",
    "/site.css",
    {},
    { "sent field x-forwarded-client-cert": verifiedAlone },
  ),
  secured("a caller whom a policy names, at a path for nobody", "web", "/admin"),
  secured(
    "a caller who says that he is somebody else",
    "stranger",
    "/site.css",
    {
      fields: ["x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/web"],
    },
    { "sent field x-forwarded-client-cert": verifiedAlone },
  ),

  // what HTTP/1.1 leaves to proxies
  raw("HTTP/1.0", ["GET / HTTP/1.0", "host: plain.test"]),
  raw("an absolute target", ["GET http://plain.test/x?y=1 HTTP/1.1", "host: other.test"]),
  raw(
    "the target of OPTIONS for the whole server",
    ["OPTIONS * HTTP/1.1", "host: plain.test"],
    undefined,
    { status: "a route for every path takes it; Envoy's prefix / does not" },
  ),
  raw("CONNECT", ["CONNECT plain.test:80 HTTP/1.1", "host: plain.test:80"], undefined, {
    status: "refused before any route is asked; Envoy finds none for it",
  }),
  raw("a request that is no HTTP", ["hello"]),
  raw("a method that is new", ["QUERY / HTTP/1.1", "host: plain.test"], undefined, {
    status: "methods are an open list (RFC 9110 §9.1); Envoy knows some",
  }),
  raw("a space before a colon", ["GET / HTTP/1.1", "host: plain.test", "x-space : 1"]),
  raw(
    "a length and chunks",
    ["POST / HTTP/1.1", "host: plain.test", "content-length: 3", "transfer-encoding: chunked"],
    "3\r\nabc\r\n0\r\n\r\n",
  ),
  raw(
    "two lengths that differ",
    ["POST / HTTP/1.1", "host: plain.test", "content-length: 3", "content-length: 4"],
    "abcd",
  ),
  raw(
    "a body in chunks",
    ["POST / HTTP/1.1", "host: plain.test", "transfer-encoding: chunked"],
    "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
  ),
  raw(
    "a body in chunks with trailers",
    ["POST / HTTP/1.1", "host: plain.test", "transfer-encoding: chunked"],
    "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
    { "sent trailer x-sum": trailersGoOn },
  ),
  open("a body with a length", "plain.test", "/", { method: "POST", body: "hello" }),
  open(
    "a client that waits before it sends",
    "plain.test",
    "/",
    {
      method: "POST",
      fields: ["expect: 100-continue"],
      body: "late",
    },
    { "sent field expect": "the application decides whether it wants the body; Envoy does for it" },
  ),
  open("HEAD", "plain.test", "/", { method: "HEAD" }),
  open(
    "an answer with trailers",
    "plain.test",
    "/",
    { fields: asks("trailers") },
    { "trailer x-checksum": trailersGoOn },
  ),
  open(
    "an answer with trailers, to a client that takes them",
    "plain.test",
    "/",
    {
      fields: ["te: trailers", ...asks("trailers")],
    },
    {
      "trailer x-checksum": trailersGoOn,
      "sent field te": "is for one connection (RFC 9110 §10.1.4)",
    },
  ),
  open("an answer of unknown length", "plain.test", "/", { fields: asks("open-ended") }),
  open("an answer without a body", "plain.test", "/", { fields: asks("status=204,empty") }),
  open("an answer of an unusual status", "plain.test", "/", { fields: asks("status=299") }),
  open(
    "an interim answer",
    "plain.test",
    "/",
    { fields: asks("early") },
    { interim: interimGoesOn },
  ),
  open("fields of one connection only", "plain.test", "/", {
    fields: ["connection: x-hop", "x-hop: 1", "keep-alive: timeout=5", "te: gzip"],
  }),
  open("a connection that the client closes", "plain.test", "/", { fields: ["connection: close"] }),
  open("an upgrade to WebSocket", "plain.test", "/chat", {
    fields: [
      "connection: upgrade",
      "upgrade: websocket",
      "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
      "sec-websocket-version: 13",
    ],
  }),
  open(
    "an upgrade to something else",
    "plain.test",
    "/",
    {
      fields: ["connection: upgrade", "upgrade: irc"],
    },
    { status: "an upgrade that is not taken up is an ordinary request (RFC 9110 §7.8)" },
  ),
  open("a request that says where it came from", "plain.test", "/", {
    fields: [
      "x-forwarded-for: 198.51.100.7",
      "x-forwarded-proto: https",
      "x-request-id: 11111111-2222-4333-8444-555555555555",
      "x-forwarded-client-cert: By=x;URI=spiffe://other",
    ],
  }),
  open("fields that only a proxy may set", "plain.test", "/", {
    fields: [
      "x-envoy-internal: true",
      "x-envoy-retry-on: 5xx",
      "x-envoy-upstream-rq-timeout-ms: 1",
    ],
  }),
  open("a field with bytes above ASCII", "plain.test", "/", { fields: ["x-name: J\xfcrgen"] }),
  open("an underscore in a field's name", "plain.test", "/", { fields: ["x_under: 1"] }),

  // HTTP/2
  http2("HTTP/2 to HTTP/1.1", "plain.test", "/x?y=1"),
  http2("HTTP/2 with a body", "plain.test", "/", { fields: { ":method": "POST" }, body: "hello" }),
  http2(
    "HTTP/2 with trailers",
    "plain.test",
    "/",
    {
      fields: { ":method": "POST" },
      body: "hello",
      trailers: { "x-sum": "1" },
    },
    { "sent trailer x-sum": trailersGoOn },
  ),
  http2("HTTP/2 to HTTP/2", "h2.test", "/x"),
  http2("HTTP/2 and an answer with trailers", "h2.test", "/", { fields: { "x-do": "trailers" } }),
  http2(
    "HTTP/2 and an interim answer",
    "plain.test",
    "/",
    { fields: { "x-do": "early" } },
    { interim: interimGoesOn },
  ),
  open("HTTP/1.1 to HTTP/2", "h2.test", "/x"),
  http2("several cookies", "plain.test", "/", { fields: { cookie: ["a=1", "b=2"] } }),
  http2("HEAD in HTTP/2", "plain.test", "/", { fields: { ":method": "HEAD" } }),
  http2(
    "a redirect in HTTP/2",
    "redirect.test",
    "/scheme",
    {},
    { "field content-length": emptyLength },
  ),
  http2(
    "an unknown host in HTTP/2",
    "unknown.test",
    "/",
    {},
    { "field content-length": emptyLength },
  ),

  // gRPC: what proxies answer themselves
  http2("a call to an unknown host", "unknown.test", "/shop.Cart/Get", { fields: call, body: "" }),
  http2("a call to an endpoint that refuses connections", "dead.test", "/shop.Cart/Get", {
    fields: call,
    body: "",
  }),
  http2("a call to a cluster without endpoints", "empty.test", "/shop.Cart/Get", {
    fields: call,
    body: "",
  }),
  http2(
    "a call that takes too long",
    "time.test",
    "/timeout",
    {
      fields: { ...call, "x-do": "delay=1500" },
      body: "",
    },
    { "field grpc-status": noTime },
  ),
  http2(
    "a call that says how long it waits",
    "plain.test",
    "/shop.Cart/Get",
    {
      fields: { ...call, "grpc-timeout": "100m", "x-do": "delay=1500" },
      body: "",
    },
    { "field grpc-status": noTime },
  ),
  http2("a call that is aborted on purpose", "fault.test", "/abort", { fields: call, body: "" }),
  http2("a call that the configuration answers", "respond.test", "/body", {
    fields: call,
    body: "",
  }),
  {
    ...http2("a call that no policy allows", "guarded.test", "/shop.Cart/Get", {
      fields: call,
      body: "",
    }),
    to: "guarded",
  },
];
