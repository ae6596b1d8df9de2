/** The end of a sidecar whose clients speak HTTP/2. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Harness, snapshot } from "../testing/harness.ts";
import { Http2Client } from "../testing/http2.ts";
import { passthrough } from "../testing/mesh.ts";
import { hexFrame, readFrames } from "../testing/raw-frames.ts";

describe("a sidecar that is taken over", () => {
  test("answers the request that crosses its announcement, also where nothing else was under way", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const { port, sidecar } = await harness.toPorts([app]);
    const client = new Http2Client(harness, port);
    assert.equal((await client.request({})).body, "ok");
    const stopped = new AbortController();
    const retired = sidecar.retire(stopped.signal);
    assert.equal((await client.request({})).body, "ok"); // written before GOAWAY can have been read
    await retired; // and then it ends by itself
  });

  test("takes no more streams from a client that has read its announcement, though others are under way", async () => {
    await using harness = new Harness();
    const held: (() => void)[] = [];
    const app = await harness.app((_, res) => held.push(() => res.end()));
    const { port, sidecar } = await harness.toPorts([app]);
    const { socket } = await harness.raw(port);
    const frames = readFrames(socket);
    const get = (stream: number) => hexFrame(1, 5, stream, "8286844104" + "63617274");
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    socket.write(Buffer.concat([hexFrame(4, 0, 0, ""), hexFrame(4, 1, 0, ""), get(1)]));
    while (held.length === 0) await delay(1);
    const retired = sidecar.retire(new AbortController().signal);
    await frames.until(({ type, flags }) => type === 6 && flags === 0);
    socket.write(
      Buffer.concat([
        hexFrame(6, 1, 0, "0000000000000000"),
        get(3),
        hexFrame(6, 0, 0, "00".repeat(8)),
      ]),
    );
    await frames.until(({ type, flags }) => type === 6 && flags === 1); // both were read
    assert.deepEqual(
      frames.seen.filter(({ type }) => type === 7).map(({ payload }) => payload.readUInt32BE(0)),
      [2 ** 31 - 1, 1],
    );
    for (const release of held) release();
    socket.end();
    await retired;
    assert.equal(held.length, 1);
  });
});

test("a client of HTTP/2 that answers no ping and asks on is not served for ever by a chain that is gone", async () => {
  await using harness = new Harness();
  const app = await harness.app((_, res) => setTimeout(() => res.end(), 20));
  const { port, sidecar } = await harness.toPorts([app]);
  const { socket } = await harness.raw(port);
  const frames = readFrames(socket);
  let stream = 1;
  const ask = () => socket.write(hexFrame(1, 5, stream, "8286844104" + "63617274"));
  const answers = () => frames.seen.filter(({ type, flags }) => type <= 1 && (flags & 1) === 1);
  socket.on("data", () => {
    if (answers().length * 2 < stream) return;
    stream += 2;
    ask();
  });
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(Buffer.concat([hexFrame(4, 0, 0, ""), hexFrame(4, 1, 0, "")]));
  ask();
  await frames.until(({ flags, type }) => type <= 1 && (flags & 1) === 1);
  const ended = once(socket, "end");
  await sidecar.apply(snapshot({ clusters: [passthrough] }, { version: "2" }));
  await ended;
  socket.end();
});
