/**
 * Requests of HTTP/2 that two readers may take for two things: what is answered, and what a server of HTTP/1.1 sees of
 * each.
 */

import type { RawRequest } from "./raw-http2.ts";

// RFC 9113 §8.1.1: a malformed request is a stream error of this kind.
export const malformed = "reset with 1";

/** `seen`: the request that a server of HTTP/1.1 gets, its lines joined; empty: none. */
export const oddRequests: readonly (readonly [
  why: string,
  sent: RawRequest,
  outcome: string,
  seen: string,
])[] = [
  [
    "a name in disguise",
    { lines: "x_forwarded_client_cert: URI=spiffe://a/ns/b/sa/admin\r\nx_own: 1\r\n" },
    "200 ok",
    "GET / HTTP/1.1|host: a|x_own: 1",
  ],
  [
    "framing in disguise",
    { lines: "transfer_encoding: chunked\r\ncontent_length: 5\r\n" },
    "200 ok",
    "GET / HTTP/1.1|host: a",
  ],
  [
    "trailers that would be a head's",
    {
      method: "POST",
      body: "hi",
      trailers:
        "x-forwarded-client-cert: a\r\nauthorization: b\r\nx_forwarded_for: c\r\nx-sum: d\r\n",
    },
    "200 ok",
    "POST / HTTP/1.1|host: a|transfer-encoding: chunked|2|hi|0|x-sum: d",
  ],
  [
    "trailers and no body",
    { method: "POST", trailers: "x-sum: d\r\n" },
    "200 ok",
    "POST / HTTP/1.1|host: a|transfer-encoding: chunked|0|x-sum: d",
  ],
  [
    "trailers behind a body of known length",
    { method: "POST", lines: "content-length: 2\r\n", body: "hi", trailers: "x-sum: d\r\n" },
    "200 ok",
    "POST / HTTP/1.1|host: a|content-length: 2|hi",
  ],
  [
    "a body that is a request",
    { method: "GET", body: "GET /smuggled HTTP/1.1\r\nhost: s\r\n\r\n" },
    "200 ok",
    "GET / HTTP/1.1|host: a|transfer-encoding: chunked|23|GET /smuggled HTTP/1.1|host: s|0",
  ],
  [
    "cookies in crumbs",
    { lines: "cookie: a=b\r\nx: y\r\ncookie: c=d\r\n" },
    "200 ok",
    "GET / HTTP/1.1|host: a|x: y|cookie: a=b; c=d",
  ],
  ["its path twice", { lines: ":path: /smuggled\r\n" }, malformed, ""],
  ["a scheme twice", { lines: ":scheme: https\r\n" }, malformed, ""],
  ["a pseudo-header field behind others", { lines: "x: y\r\n:path: /b\r\n" }, malformed, ""],
  ["a status", { lines: ":status: 200\r\n" }, malformed, ""],
  ["a pseudo-header field of its own", { lines: ":own: 1\r\n" }, malformed, ""],
  ["a pseudo-header field in trailers", { trailers: ":path: /b\r\n" }, malformed, ""],
  ["another host than its authority", { lines: "host: b\r\n" }, malformed, ""],
  ["two hosts in its authority", { authority: "a,b" }, malformed, ""],
  ["a user in its authority", { authority: "a@b" }, malformed, ""],
  ["a line end in its path", { path: "/ HTTP/1.1\r\nx: y" }, malformed, ""],
  ["a space in its path", { path: "/a b" }, malformed, ""],
  ["a fragment in its path", { path: "/a#b" }, malformed, ""],
  ["a path that is a whole target", { path: "http://b/" }, malformed, ""],
  ["no path", { path: "" }, malformed, ""],
  ["a request line for a method", { method: "GET /smuggled HTTP/1.1\r\nx:" }, malformed, ""],
  ["a method that connects", { method: "CONNECT" }, malformed, ""],
  ["a coding of HTTP/1.1", { lines: "transfer-encoding: chunked\r\n" }, malformed, ""],
  ["a word on the connection", { lines: "connection: x-forwarded-for\r\n" }, malformed, ""],
  ["TE that is not about trailers", { lines: "te: gzip\r\n" }, malformed, ""],
  ["an upgrade of HTTP/1.1", { lines: "upgrade: websocket\r\n" }, malformed, ""],
  [
    "two lengths",
    { lines: "content-length: 2\r\ncontent-length: 2\r\n", body: "hi" },
    malformed,
    "",
  ],
  ["a list of lengths", { lines: "content-length: 2, 2\r\n", body: "hi" }, malformed, ""],
  ["a length and no body", { lines: "content-length: 2\r\n" }, malformed, ""],
  ["an expectation twice", { lines: "expect: 100-continue, 100-continue\r\n" }, malformed, ""],
  ["a capital in a name", { lines: "Content-Length: 0\r\n" }, malformed, ""],
  ["a space in a name", { lines: "content-length : 2\r\n" }, malformed, ""],
  ["a zero byte in a value", { lines: "x: a\0b\r\n" }, malformed, ""],
  ["a space behind a value", { lines: "x: a \r\n" }, malformed, ""],
];
