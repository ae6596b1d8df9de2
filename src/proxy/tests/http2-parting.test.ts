/** Clients of HTTP/2 that leave while they are answered, and of which only a FIN is heard. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness } from "../testing/harness.ts";
import { hexFrame, readFrames } from "../testing/raw-frames.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const get = hexFrame(1, 5, 1, "828684410463617274"); // host: cart
const settings = hexFrame(4, 0, 0, "");
const narrow = hexFrame(4, 0, 0, "000400000005"); // windows of five bytes

for (const [name, words, said] of [
  ["in the middle of an answer without another word", settings, "data: 1\n\n"],
  ["in front of an answer that it has opened no window for", narrow, "x".repeat(100)],
] as const) {
  test(`a client of HTTP/2 that leaves ${name} does not keep it for ever`, async () => {
    await using harness = new Harness();
    const { promise: left, resolve } = Promise.withResolvers<void>();
    const app = await harness.app((_, res) => {
      res.on("close", resolve);
      res.write(said); // and nothing more
    });
    const flags: string[] = [];
    const { port } = await harness.toPorts([app], {
      accessLog: (line) => flags.push(JSON.parse(line).response_flags),
    });
    const { socket } = await harness.raw(port);
    const frames = readFrames(socket);
    socket.write(Buffer.concat([preface, words, get]));
    await frames.until(({ type }) => type === 0);
    socket.end();
    await left;
    assert.deepEqual(flags, ["DC"]);
  });
}

test("a client of HTTP/2 that ends its side is answered for as long as the answer goes on", async () => {
  await using harness = new Harness();
  const pieces = 8;
  const app = await harness.app((_, res) => {
    let said = 0;
    const say = () => {
      res.write("x");
      if (++said < pieces) return;
      clearInterval(timer);
      res.end();
    };
    const timer = setInterval(say, 900);
    say();
  });
  const { port } = await harness.toPorts([app]);
  const { socket } = await harness.raw(port);
  const frames = readFrames(socket);
  socket.write(Buffer.concat([preface, settings, get]));
  await frames.until(({ type }) => type === 0);
  socket.end();
  await frames.until(({ type, flags }) => type === 0 && (flags & 1) === 1);
  const heard = frames.seen.filter(({ type }) => type === 0).map(({ payload }) => payload);
  assert.equal(Buffer.concat(heard).toString(), "x".repeat(pieces));
});
