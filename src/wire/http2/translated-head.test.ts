import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Output } from "../hpack/output.ts";
import { putSettings } from "./frame-writer.ts";
import { clientPreface, PROTOCOL_ERROR } from "./protocol.ts";
import { End, headers, pseudo } from "./testing.ts";

describe("a request", () => {
  const requests: readonly (readonly [string, readonly string[], string])[] = [
    [
      "with two cookies has one line of them",
      ["cookie: a=1", "x: y", "cookie: b=2"],
      "x: y\r\ncookie: a=1; b=2\r\n\r\n",
    ],
    ["whose Host agrees with :authority has one Host", ["host: a"], "host: a\r\n\r\n"],
  ];
  const other = [":method: CONNECT", ":protocol: websocket"];
  const toOther = [":scheme: http", ":path: /chat", ":authority: a"];

  test("for another protocol is the GET with Upgrade that asks for the same", () => {
    const text = "GET /chat HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nx: y\r\n\r\n";
    assert.equal(textOf([...other, ...toOther, "x: y"]), text);
  });

  for (const [name, fields, end] of requests) {
    test(name, () => assert(textOf([...pseudo, ...fields])?.endsWith(end)));
  }

  for (const [name, fields] of [
    ["whose Host contradicts :authority", [...pseudo, "host: b"]],
    ["without any authority", [":method: GET", ":scheme: http", ":path: /"]],
    [
      "whose path could end the request line",
      [":method: GET", ":scheme: http", ":authority: a", ":path: /x HTTP/1.1"],
    ],
    ["whose path is no path", [":method: GET", ":scheme: http", ":authority: a", ":path: x"]],
    ["whose method is no token", [":method: G T", ":scheme: http", ":authority: a", ":path: /"]],
    [
      "whose authority holds a user",
      [":method: GET", ":scheme: http", ":authority: u@a", ":path: /"],
    ],
    ["with a line end in a value", [...pseudo, "x: a\r\ny: b"]],
    ["for another protocol by GET", [...pseudo, ":protocol: websocket"]],
    ["for two other protocols", [...other, ":protocol: websocket", ...toOther]],
    ["for another protocol without a path", [...other, ":scheme: http", ":authority: a"]],
    ["for another protocol without a scheme", [...other, ":path: /", ":authority: a"]],
    ["for another protocol of nobody", [...other, ":scheme: http", ":path: /", "host: a"]],
    ["for another protocol with a length", [...other, ...toOther, "content-length: 0"]],
    ["for another protocol with Upgrade", [...other, ...toOther, "upgrade: websocket"]],
    ["for what is no protocol", [":method: CONNECT", ":protocol: a b", ...toOther]],
    ["for a protocol that ends its line", [":method: CONNECT", ":protocol: a\r\nb: c", ...toOther]],
    ["whose :protocol comes late", [":method: CONNECT", ...toOther, "x: y", ":protocol: a"]],
    ["with a NUL in a value", [...pseudo, "x: a\0b"]],
    ["with a space in a name", [...pseudo, "x y: a"]],
    ["with Transfer-Encoding", [...pseudo, "transfer-encoding: chunked"]],
    ["with Connection", [...pseudo, "connection: close"]],
    ["with two Content-Lengths", [...pseudo, "content-length: 0", "content-length: 0"]],
    ["with a Content-Length that is no number", [...pseudo, "content-length: +1"]],
    ["that promises a body and has none", [...pseudo, "content-length: 1"]],
  ] as const) {
    test(`${name} is malformed`, () => assert.equal(textOf(fields), `reset ${PROTOCOL_ERROR}`));
  }
});

/** The text of a request with these fields, or what became of it. */
function textOf(fields: readonly string[]): string | undefined {
  const server = new End("server");
  let text: string | undefined;
  server.onHead = (_stream, head) => {
    text = head.text;
  };
  server.onReset = (_stream, code) => {
    text = `reset ${code}`;
  };
  const out = new Output();
  out.reserve(clientPreface.length);
  out.putText(clientPreface);
  putSettings(out, []);
  server.read(out.take());
  server.read(headers(1, fields, 0x5));
  return text;
}
