import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CANCEL, PROTOCOL_ERROR, REFUSED_STREAM } from "./protocol.ts";
import { connectionWindowBytes, streamWindowBytes } from "./receive-windows.ts";
import { maxConcurrentStreams } from "./stream-table.ts";
import { frame, get, pair, settle } from "./testing.ts";

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

  test("announce each size of their table of fields that one SETTINGS goes through", () => {
    const { client } = pair();
    const sizes = [0, 4096].flatMap((size) => [0, 1, 0, 0, size >> 8, size & 0xff]);
    client.read(frame(4, 0, 0, sizes));
    client.connection.sender.out.take();
    client.connection.request("one", get, "", true);
    const block = client.connection.sender.out.take().subarray(9);
    assert.deepEqual([...block.subarray(0, 4)], [0x20, 0x3f, 0xe1, 0x1f]); // RFC 7541 §4.2: 0, then 4096
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
