import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HpackEncoder } from "../hpack/encoder.ts";
import { Output } from "../hpack/output.ts";
import { beginHeaders, endHeaders } from "./frame-writer.ts";
import { ENHANCE_YOUR_CALM } from "./protocol.ts";
import { frame, headers, pair, pseudo } from "./testing.ts";

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
    ["announcements of an end", () => frame(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0])],
    ["requests whose stream's window is opened by nothing", provoked(8, [0, 0, 0, 0])],
    ["requests whose stream's window is opened too far", provoked(8, [0x7f, 0xff, 0xff, 0xff])],
    ["requests with data behind their end", provoked(0, [1])],
    ["requests with trailers behind their end", provoked(1, [0x84], 0x5)],
    [
      "pings between single bytes of data",
      () => Buffer.concat([frame(0, 0, 1, [65]), frame(6, 0, 0, new Array(8).fill(0))]),
    ],
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

  for (const [name, make] of [
    ["acknowledged settings", () => frame(4, 1, 0, [])],
    ["answers to pings nobody sent", () => frame(6, 1, 0, new Array(8).fill(0))],
    ["empty data", () => frame(0, 0, 1, [])],
    ["padding", () => frame(0, 8, 1, [0])],
    ["heads", () => headers(1, pseudo, 0x4)],
  ] as const) {
    test(`${name} ends the connection also where the stream was reset by us`, () => {
      const { server } = pair();
      server.read(headers(1, pseudo, 0x4));
      const [stream] = server.streams;
      assert(stream);
      server.connection.sender.sendResponse(stream, 200, "", true); // the request need not come
      let count = 0;
      while (!server.connection.isLost && count < 10_000) {
        server.read(make());
        count++;
      }
      assert.equal(server.last, `fatal ${ENHANCE_YOUR_CALM}`);
    });
  }

  test("requests after our GOAWAY ends the connection", () => {
    const { server } = pair();
    server.read(headers(1, pseudo, 0x4));
    server.connection.takeNoMore();
    let count = 0;
    while (!server.connection.isLost && count < 10_000) {
      server.read(headers(2 * count++ + 3, pseudo, 0x5));
    }
    assert.equal(server.last, `fatal ${ENHANCE_YOUR_CALM}`);
  });

  test("pings between bytes that are let out singly ends the connection", () => {
    const { server } = pair();
    server.read(frame(4, 0, 0, [0, 4, 0, 0, 0, 0])); // no window for any stream
    server.read(headers(1, pseudo, 0x5));
    const [stream] = server.streams;
    assert(stream);
    server.connection.sender.sendResponse(stream, 200, "", false);
    server.connection.sender.sendData(stream, new Uint8Array(200_000), 0, 200_000, false);
    let count = 0;
    while (!server.connection.isLost && count++ < 10_000) {
      server.read(frame(8, 0, 1, [0, 0, 0, 1]));
      server.read(frame(6, 0, 0, new Array(8).fill(0)));
    }
    assert.equal(server.last, `fatal ${ENHANCE_YOUR_CALM}`);
  });

  for (const [name, open] of [
    ["bytes that updates of a window let out singly", frame(8, 0, 1, [0, 0, 0, 1])],
    ["bytes that settings let out singly", undefined],
  ] as const) {
    test(`${name} ends the connection`, () => {
      const { server } = pair();
      server.read(frame(4, 0, 0, [0, 4, 0, 0, 0, 0])); // no window for any stream
      for (let id = 1; id < 200; id += 2) server.read(headers(id, pseudo, 0x5));
      for (const stream of server.streams) {
        server.connection.sender.sendResponse(stream, 200, "", false);
        server.connection.sender.sendData(stream, new Uint8Array(20_000), 0, 20_000, false);
      }
      let count = 0;
      while (!server.connection.isLost && count++ < 10_000) {
        server.read(open ?? frame(4, 0, 0, [0, 4, 0, 0, count >> 8, count & 0xff]));
        server.connection.sender.out.take();
      }
      assert.equal(server.last, `fatal ${ENHANCE_YOUR_CALM}`);
      assert(count <= 1_100, `${count} frames were taken`);
    });
  }

  for (const bytes of [512, 4_096, 65_535]) {
    test(`updates of a window by ${bytes} bytes may let out any number of them`, () => {
      const { server } = pair();
      server.read(headers(1, pseudo, 0x5));
      const [stream] = server.streams;
      assert(stream);
      server.connection.sender.sendResponse(stream, 200, "", false);
      const written = new Uint8Array(bytes);
      server.connection.sender.sendData(stream, new Uint8Array(65_535), 0, 65_535, false);
      for (let i = 0; i < 5_000; i++) {
        server.connection.sender.sendData(stream, written, 0, bytes, false);
        const hex = [0, bytes >> 16, (bytes >> 8) & 0xff, bytes & 0xff];
        if (bytes >= 1_024) server.read(frame(8, 0, 0, hex));
        else if (i % 64 === 0) server.read(frame(8, 0, 0, [0, 0, 0x80, 0]));
        server.read(frame(8, 0, 1, hex));
        server.connection.sender.out.take();
      }
      assert.equal(server.connection.isLost, false);
    });
  }

  test("one ping for each small answer in a stream is none", () => {
    const { server } = pair();
    server.read(headers(1, pseudo, 0x4));
    const [stream] = server.streams;
    assert(stream);
    server.connection.sender.sendResponse(stream, 200, "", false);
    for (let i = 0; i < 10_000; i++) {
      server.connection.sender.sendData(stream, new Uint8Array(5), 0, 5, false);
      server.read(frame(6, 0, 0, new Array(8).fill(0)));
    }
    assert.equal(server.connection.isLost, false);
  });

  test("pings slower than a flood may go on for ever", () => {
    const { server } = pair();
    for (let i = 0; i < 20_000; i++) {
      server.now += 20;
      server.read(frame(6, 0, 0, new Array(8).fill(0)));
      server.connection.sender.out.take();
    }
    assert.equal(server.connection.isLost, false);
  });

  test("streams reset by the thousand, a tenth of a second after they began, ends the connection", () => {
    const { server } = pair();
    let next = 1;
    let resets = 0;
    while (!server.connection.isLost && resets < 100_000) {
      const first = next;
      for (; next < first + 2_000; next += 2) server.read(headers(next, pseudo, 0x5));
      server.now += 101;
      for (let at = first; at < next && !server.connection.isLost; at += 2, resets++) {
        server.read(frame(3, 0, at, [0, 0, 0, 8]));
      }
    }
    assert.equal(server.last, `fatal ${ENHANCE_YOUR_CALM}`);
    assert(resets <= 250, `${resets} resets were taken`);
  });

  for (const [calls, afterMs, rounds] of [
    [1_000, 600, 1],
    [100, 1_000, 100],
    [1_000, 10_000, 100],
  ] as const) {
    test(`${calls} calls that time out after ${afterMs} ms, ${rounds} times, is none`, () => {
      const { server } = pair();
      let next = 1;
      for (let round = 0; round < rounds; round++) {
        const first = next;
        for (; next < first + 2 * calls; next += 2) server.read(headers(next, pseudo, 0x5));
        server.now += afterMs;
        for (let at = first; at < next; at += 2) server.read(frame(3, 0, at, [0, 0, 0, 8]));
        server.connection.sender.out.take();
      }
      assert.equal(server.connection.isLost, false);
    });
  }

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

/**
 * A request, and a frame that its stream cannot have: the server is made to reset what it has begun to serve, and the
 * client may open another (CVE-2025-8671).
 */
function provoked(type: number, payload: readonly number[], flags = 0): (i: number) => Uint8Array {
  return (i) =>
    Buffer.concat([headers(2 * i + 3, pseudo, 0x5), frame(type, flags, 2 * i + 3, payload)]);
}
