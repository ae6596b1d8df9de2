import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HpackEncoder } from "../hpack/encoder.ts";
import { Output } from "../hpack/output.ts";
import { Http2Connection } from "./connection.ts";
import type { Http2Events } from "./events.ts";
import { beginHeaders, endHeaders, putFrameHeader, putSettings } from "./frame-writer.ts";
import { canonicalLines, lineValue } from "./lines.ts";
import {
  CANCEL,
  COMPRESSION_ERROR,
  clientPreface,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from "./protocol.ts";
import { connectionWindowBytes, streamWindowBytes } from "./receive-windows.ts";
import type { Http2Stream } from "./stream.ts";
import { maxConcurrentStreams, type Role } from "./stream-table.ts";
import { testVocabulary } from "./testing.ts";

type Stream = Http2Stream<string>;

/** One end, and what happened to it, in words. */
class End implements Http2Events<string> {
  readonly connection: Http2Connection<string>;
  readonly happened: string[] = [];
  readonly streams: Stream[] = [];
  receivedBytes = 0;
  now = 1;

  constructor(role: Role) {
    this.connection = new Http2Connection(role, this, { vocabulary: testVocabulary });
  }
  onHead(stream: Stream, head: { readonly text: string }, isEnd: boolean): void {
    this.streams.push(stream);
    this.happened.push(`${stream.id} ${head.text.split("\r\n")[0]}${isEnd ? " end" : ""}`);
  }
  onData(stream: Stream, _bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    this.receivedBytes += end - start;
    if (isEnd) this.happened.push(`${stream.id} data end`);
  }
  onTrailers(stream: Stream, lines: string): void {
    this.happened.push(`${stream.id} trailers ${lines.trim()}`);
  }
  onReset(stream: Stream, code: number): void {
    this.happened.push(`${stream.id} reset ${code}`);
  }
  onHeadTooLarge(stream: Stream): void {
    this.happened.push(`${stream.id} too large`);
  }
  onDrained(stream: Stream): void {
    this.happened.push(`${stream.id} drained`);
  }
  onPong(): void {}

  onGoaway(code: number): void {
    this.happened.push(`goaway ${code}`);
  }
  onFatal(code: number): void {
    this.happened.push(`fatal ${code}`);
  }
  read(bytes: Uint8Array): void {
    this.connection.read(bytes, 0, bytes.length, this.now);
  }
  get last(): string | undefined {
    return this.happened.at(-1);
  }
}

const get = { method: "GET", scheme: "http", authority: "a", path: "/" };

/** Carries bytes to and fro until both ends are silent. */
function settle(...ends: readonly [End, End]): void {
  const [a, b] = ends;
  for (;;) {
    const there = a.connection.sender.out.take();
    b.read(there);
    const back = b.connection.sender.out.take();
    a.read(back);
    if (there.length === 0 && back.length === 0) return;
  }
}

function pair(): { readonly client: End; readonly server: End } {
  const ends = { client: new End("client"), server: new End("server") };
  settle(ends.client, ends.server);
  return ends;
}

describe("two ends of a connection", () => {
  test("exchange heads, data and trailers", () => {
    const { client, server } = pair();
    const asked = client.connection.request("one", get, "x-a: b\r\n", false);
    client.connection.sender.sendData(asked, Buffer.from("hello"), 0, 5, true);
    settle(client, server);
    assert.deepEqual(server.happened, ["1 GET / HTTP/1.1", "1 data end"]);
    const [stream] = server.streams;
    assert(stream);
    server.connection.sender.sendResponse(stream, 200, "content-type: text/plain\r\n", false);
    server.connection.sender.sendData(stream, Buffer.from("hi"), 0, 2, false);
    server.connection.sender.sendTrailers(stream, "grpc-status: 0\r\n");
    settle(client, server);
    assert.deepEqual(client.happened, ["1 HTTP/1.1 200 ", "1 trailers grpc-status: 0"]);
    assert.equal(client.connection.openStreams + server.connection.openStreams, 0);
  });

  for (const [method, status, end] of [
    ["HEAD", 200, "data end"],
    ["GET", 304, "data end"],
    ["GET", 200, `reset ${PROTOCOL_ERROR}`],
  ] as const) {
    test(`end an answer ${status} to ${method} that names a length by an empty frame: ${end}`, () => {
      const { client, server } = pair();
      client.connection.request("one", { ...get, method }, "", true);
      settle(client, server);
      const [stream] = server.streams;
      assert(stream);
      server.connection.sender.sendResponse(stream, status, "content-length: 5\r\n", false);
      server.connection.sender.sendData(stream, Buffer.alloc(0), 0, 0, true);
      settle(client, server);
      assert.equal(client.last, `1 ${end}`);
    });
  }

  test("never send more than the other's window, and go on when it opens", () => {
    const { client, server } = pair();
    const asked = client.connection.request("one", get, "", false);
    settle(client, server);
    const [stream] = server.streams;
    assert(stream);
    server.connection.hold(stream);
    const body = Buffer.alloc(streamWindowBytes + 1_000);
    client.connection.sender.sendData(asked, body, 0, body.length, true);
    settle(client, server);
    assert.equal(server.receivedBytes, streamWindowBytes);
    assert.equal(asked.queuedBytes, 1_000);
    server.connection.release(stream);
    settle(client, server);
    assert.equal(server.receivedBytes, body.length);
    assert.equal(server.last, "1 data end");
  });

  test("let no held stream stop another, up to the connection's window", () => {
    const { client, server } = pair();
    const body = Buffer.alloc(streamWindowBytes);
    for (let i = 0; i < connectionWindowBytes / streamWindowBytes - 1; i++) {
      const stuck = client.connection.request("stuck", get, "", false);
      settle(client, server);
      const stream = server.streams.at(-1);
      assert(stream);
      server.connection.hold(stream);
      client.connection.sender.sendData(stuck, body, 0, body.length, true);
      settle(client, server);
    }
    const before = server.receivedBytes;
    const asked = client.connection.request("quick", get, "", false);
    client.connection.sender.sendData(asked, body, 0, 100_000, true);
    settle(client, server);
    assert.equal(server.receivedBytes - before, 100_000);
  });

  test("give back what a stream held when it is reset", () => {
    const { client, server } = pair();
    const body = Buffer.alloc(streamWindowBytes);
    for (let i = 0; i < 200; i++) {
      client.now = server.now = i * 1_000;
      const asked = client.connection.request("one", get, "", false);
      settle(client, server);
      const stream = server.streams.at(-1);
      assert(stream);
      server.connection.hold(stream);
      client.connection.sender.sendData(asked, body, 0, body.length, false);
      settle(client, server);
      client.connection.reset(asked, CANCEL);
      settle(client, server);
    }
    assert.equal(server.receivedBytes, 200 * body.length);
    assert.equal(server.connection.isLost, false);
  });

  test("refuse streams beyond the limit, which can be tried elsewhere", () => {
    const { client, server } = pair();
    for (let i = 0; i < maxConcurrentStreams + 5; i++) {
      client.connection.request("one", get, "", false);
    }
    settle(client, server);
    assert.equal(server.streams.length, maxConcurrentStreams);
    assert.equal(client.happened.length, 5);
    assert(client.happened.every((event) => event.endsWith(`reset ${REFUSED_STREAM}`)));
  });

  test("end without losing a request: announced, then closed to new streams", () => {
    const { client, server } = pair();
    const first = client.connection.request("one", get, "", true);
    server.connection.announceEnd();
    settle(client, server);
    assert.equal(client.connection.room, 0);
    server.connection.takeNoMore();
    settle(client, server);
    const [stream] = server.streams;
    assert(stream);
    server.connection.sender.sendResponse(stream, 204, "", true);
    settle(client, server);
    assert(first.isClosed);
    assert.equal(client.last, "1 HTTP/1.1 204  end");
  });

  test("tell of streams that the other end will not look at after its GOAWAY", () => {
    const { client } = pair();
    client.connection.request("one", get, "", true);
    client.connection.request("two", get, "", true);
    client.read(frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0]));
    assert.deepEqual(client.happened, [`3 reset ${REFUSED_STREAM}`, "goaway 0"]);
    assert.equal(client.connection.openStreams, 1);
  });

  test("cut a head that is larger than a frame into several", () => {
    const { client, server } = pair();
    client.connection.request("one", get, `x-long: ${"v".repeat(40_000)}\r\n`, true);
    settle(client, server);
    assert.equal(server.last, "1 GET / HTTP/1.1 end");
  });
});

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
    ["whose Host contradicts :authority", [...pseudo0(), "host: b"]],
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
    ["with a line end in a value", [...pseudo0(), "x: a\r\ny: b"]],
    ["for another protocol by GET", [...pseudo0(), ":protocol: websocket"]],
    ["for two other protocols", [...other, ":protocol: websocket", ...toOther]],
    ["for another protocol without a path", [...other, ":scheme: http", ":authority: a"]],
    ["for another protocol without a scheme", [...other, ":path: /", ":authority: a"]],
    ["for another protocol of nobody", [...other, ":scheme: http", ":path: /", "host: a"]],
    ["for another protocol with a length", [...other, ...toOther, "content-length: 0"]],
    ["for another protocol with Upgrade", [...other, ...toOther, "upgrade: websocket"]],
    ["for what is no protocol", [":method: CONNECT", ":protocol: a b", ...toOther]],
    ["for a protocol that ends its line", [":method: CONNECT", ":protocol: a\r\nb: c", ...toOther]],
    ["whose :protocol comes late", [":method: CONNECT", ...toOther, "x: y", ":protocol: a"]],
    ["with a NUL in a value", [...pseudo0(), "x: a\0b"]],
    ["with a space in a name", [...pseudo0(), "x y: a"]],
    ["with Transfer-Encoding", [...pseudo0(), "transfer-encoding: chunked"]],
    ["with Connection", [...pseudo0(), "connection: close"]],
    ["with two Content-Lengths", [...pseudo0(), "content-length: 0", "content-length: 0"]],
    ["with a Content-Length that is no number", [...pseudo0(), "content-length: +1"]],
    ["that promises a body and has none", [...pseudo0(), "content-length: 1"]],
  ] as const) {
    test(`${name} is malformed`, () => assert.equal(textOf(fields), `reset ${PROTOCOL_ERROR}`));
  }
});

describe("a client whose server", () => {
  const ok = () => headers(1, [":status: 200"], 0x4);
  const violations: readonly (readonly [string, () => readonly Uint8Array[], string])[] = [
    [
      "answers a stream that was never opened",
      () => [headers(5, [":status: 200"], 0x5)],
      `fatal ${PROTOCOL_ERROR}`,
    ],
    [
      "opens a stream of its own",
      () => [headers(2, [":status: 200"], 0x5)],
      `fatal ${PROTOCOL_ERROR}`,
    ],
    ["pushes", () => [frame(5, 4, 1, [0, 0, 0, 2, 0x88])], `fatal ${PROTOCOL_ERROR}`],
    ["sends no status", () => [headers(1, ["x: y"], 0x5)], `1 reset ${PROTOCOL_ERROR}`],
    [
      "sends two statuses",
      () => [headers(1, [":status: 200", ":status: 200"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends a request's pseudo-header",
      () => [headers(1, [":status: 200", ":path: /"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends a status that is none",
      () => [headers(1, [":status: 2000"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends Connection",
      () => [headers(1, [":status: 200", "connection: close"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends an upper-case name",
      () => [headers(1, [":status: 200", "X-Y: z"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    ["switches protocols", () => [headers(1, [":status: 101"], 0x4)], `1 reset ${PROTOCOL_ERROR}`],
    [
      "ends with an interim answer",
      () => [headers(1, [":status: 100"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    ["sends data before its head", () => [frame(0, 0, 1, [1])], `1 reset ${PROTOCOL_ERROR}`],
    ["sends data on an idle stream", () => [frame(0, 0, 9, [1])], `fatal ${PROTOCOL_ERROR}`],
    [
      "sends more than Content-Length",
      () => [headers(1, [":status: 200", "content-length: 1"], 0x4), frame(0, 1, 1, [1, 2])],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends less than Content-Length",
      () => [headers(1, [":status: 200", "content-length: 3"], 0x4), frame(0, 1, 1, [1, 2])],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends trailers that do not end",
      () => [ok(), headers(1, ["x: y"], 0x4)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends a status in trailers",
      () => [ok(), headers(1, [":status: 200"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "goes on after the end",
      () => [headers(1, [":status: 200"], 0x5), headers(1, [":status: 200"], 0x5)],
      `fatal ${STREAM_CLOSED}`,
    ],
    [
      "breaks a header block off",
      () => [headers(1, [":status: 200"], 0x0), frame(6, 0, 0, new Array(8).fill(0))],
      `fatal ${PROTOCOL_ERROR}`,
    ],
    ["continues no header block", () => [frame(9, 4, 1, [0x88])], `fatal ${PROTOCOL_ERROR}`],
    ["sends a bad index", () => [frame(1, 5, 1, [0xff, 0x7f])], `fatal ${COMPRESSION_ERROR}`],
    [
      "sends a frame that is too long",
      () => [Uint8Array.of(0x00, 0x40, 0x01, 0, 0, 0, 0, 0, 1)],
      `fatal ${FRAME_SIZE_ERROR}`,
    ],
    ["sends SETTINGS on a stream", () => [frame(4, 0, 1, [])], `fatal ${PROTOCOL_ERROR}`],
    ["sends half a setting", () => [frame(4, 0, 0, [1, 2, 3])], `fatal ${FRAME_SIZE_ERROR}`],
    ["allows push", () => [frame(4, 0, 0, [0, 2, 0, 0, 0, 1])], `fatal ${PROTOCOL_ERROR}`],
    [
      "sets a window beyond 2^31",
      () => [frame(4, 0, 0, [0, 4, 0xff, 0xff, 0xff, 0xff])],
      `fatal ${FLOW_CONTROL_ERROR}`,
    ],
    [
      "opens the window by nothing",
      () => [frame(8, 0, 0, [0, 0, 0, 0])],
      `fatal ${PROTOCOL_ERROR}`,
    ],
    [
      "opens a stream's window by nothing",
      () => [frame(8, 0, 1, [0, 0, 0, 0])],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "opens the window too far",
      () => [frame(8, 0, 0, [0x7f, 0xff, 0xff, 0xff])],
      `fatal ${FLOW_CONTROL_ERROR}`,
    ],
    [
      "sends a PING of seven bytes",
      () => [frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7])],
      `fatal ${FRAME_SIZE_ERROR}`,
    ],
    ["resets an idle stream", () => [frame(3, 0, 9, [0, 0, 0, 0])], `fatal ${PROTOCOL_ERROR}`],
    ["pads beyond the frame", () => [ok(), frame(0, 8, 1, [9, 1])], `fatal ${PROTOCOL_ERROR}`],
  ];
  for (const [name, frames, wanted] of violations) {
    test(`${name} loses just that`, () => {
      const { client } = pair();
      client.connection.request("one", get, "", true);
      for (const bytes of frames()) client.read(bytes);
      assert.equal(client.last, wanted);
    });
  }
});

describe("a flood of", () => {
  const empty = frame(0, 0, 1, []);
  const floods: readonly (readonly [string, (i: number) => Uint8Array])[] = [
    ["pings", () => frame(6, 0, 0, new Array(8).fill(0))],
    ["settings", () => frame(4, 0, 0, [])],
    ["priorities", () => frame(2, 0, 3, [0, 0, 0, 0, 1])],
    ["empty data", () => empty],
    ["window updates", () => frame(8, 0, 0, [0, 0, 0, 1])],
    ["unknown frames", () => frame(99, 0, 0, [])],
    [
      "streams reset at once",
      (i) => Buffer.concat([headers(2 * i + 3, pseudo, 0x5), frame(3, 0, 2 * i + 3, [0, 0, 0, 8])]),
    ],
    ["malformed requests", (i) => headers(2 * i + 3, ["x: y"], 0x5)],
    ["resets of a closed stream", () => Buffer.concat([frame(3, 0, 1, [0, 0, 0, 8])])],
    ["parts of a header block", (i) => (i === 0 ? headers(3, pseudo, 0x0) : frame(9, 0, 3, []))],
  ];
  for (const [name, make] of floods) {
    test(`${name} ends the connection, and soon`, () => {
      const { server } = pair();
      server.read(headers(1, pseudo, 0x4));
      let count = 0;
      while (!server.connection.isLost && count < 10_000) server.read(make(count++));
      assert.equal(server.last, `fatal ${ENHANCE_YOUR_CALM}`);
      assert(count <= 2_001, `${count} frames were taken`);
      assert(server.connection.sender.out.length < 64 * 1024);
    });
  }

  test("pings slower than a flood may go on for ever", () => {
    const { server } = pair();
    for (let i = 0; i < 20_000; i++) {
      server.now += 20;
      server.read(frame(6, 0, 0, new Array(8).fill(0)));
      server.connection.sender.out.take();
    }
    assert.equal(server.connection.isLost, false);
  });

  test("requests given up at once may be half of all", () => {
    const { server } = pair();
    for (let i = 0; i < 5_000; i++) {
      server.read(headers(4 * i + 1, pseudo, 0x5));
      server.read(headers(4 * i + 3, pseudo, 0x5));
      server.read(frame(3, 0, 4 * i + 1, [0, 0, 0, 8]));
      const stream = server.streams.at(-1);
      if (stream !== undefined) server.connection.sender.sendResponse(stream, 200, "", true);
      server.connection.sender.out.take();
    }
    assert.equal(server.connection.isLost, false);
  });

  test("references to one long field is too large a head, and costs no memory", () => {
    const { server } = pair();
    const out = new Output();
    const start = beginHeaders(out);
    const encoder = new HpackEncoder();
    for (const line of [...pseudo, `x: ${"v".repeat(1_900)}`]) encoder.encodeLine(out, line);
    out.reserve(8_000);
    for (let i = 0; i < 8_000; i++) out.put(0xbe);
    endHeaders(out, start, 1, true, 16_384);
    server.read(out.take());
    assert.equal(server.last, "1 too large");
  });
});

describe("lines", () => {
  test("of HTTP/1.1 lose case, white space and what is about its connection", () => {
    const lines =
      "Host: a\r\nX-Y:  z \r\nConnection: x\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nempty:\r\n";
    assert.equal(canonicalLines(lines), "x-y: z\r\nempty: \r\n");
  });

  test("are found by their whole name", () => {
    assert.equal(lineValue("xgrpc-status: 1\r\ngrpc-status: 2\r\n", "grpc-status"), "2");
    assert.equal(lineValue("grpc-status: 3\r\nx: y\r\n", "grpc-status"), "3");
    assert.equal(lineValue("xgrpc-status: 1\r\n", "grpc-status"), undefined);
    assert.equal(lineValue("", "grpc-status"), undefined);
  });
});

// ---- bytes ---------------------------------------------------------------------------------------

const pseudo: readonly string[] = pseudo0();

function pseudo0(): readonly string[] {
  return [":method: GET", ":scheme: http", ":path: /", ":authority: a"];
}

function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: readonly number[],
): Uint8Array {
  const out = new Output();
  putFrameHeader(out, payload.length, type, flags, streamId);
  for (const byte of payload) out.put(byte);
  return out.take();
}

function headers(streamId: number, lines: readonly string[], flags: number): Uint8Array {
  const out = new Output();
  const encoder = new HpackEncoder();
  encoder.setLimit(0); // so that every block stands alone
  for (const line of lines) encoder.encodeLine(out, line);
  return frame(1, flags, streamId, [...out.take()]);
}

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
