import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { test } from "node:test";
import { Pings } from "./pings.ts";

test("the answer to a ping that came while the process stood still is heard", async () => {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const socket = connect((listener.address() as AddressInfo).port, "127.0.0.1");
  const [peer] = await once(listener, "connection");
  const heard = Promise.withResolvers<string>();
  // Between two looks at its sockets the process stands still for longer than an answer may take.
  const ask = () =>
    setImmediate(() => {
      peer.write("pong"); // it lies in the kernel before this returns
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    });
  const pings = new Pings({ intervalMs: 1, timeoutMs: 10 }, ask, () => heard.resolve("silence"));
  socket.once("data", () => {
    pings.onPong();
    heard.resolve("pong");
  });
  assert.equal(await heard.promise, "pong");
  pings.stop();
  socket.destroy();
  listener.close();
});
