import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { connectPlain, descriptorOf } from "./sockets.ts";
import { Transport } from "./transport.ts";

test("a connection that is broken while its FIN waits behind unsent bytes gives its socket back", async (context) => {
  const server = createServer((socket) => {
    context.after(() => socket.destroy());
    socket.pause(); // never reads: the bytes and the FIN behind them stay unsent
    socket.on("error", () => {});
  });
  context.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  let isClosed = () => {};
  const closed = new Promise<void>((resolve) => {
    isClosed = resolve;
  });
  const reader = { onBytes() {}, onEnd() {}, onDrain() {}, onClose: () => isClosed() };
  const transport = new Transport(reader, (onread) => connectPlain("127.0.0.1", port, onread));
  context.after(() => transport.destroy());
  await once(transport.socket, "connect");
  transport.writeOwned(Buffer.alloc(16 * 1024 * 1024), () => {});
  transport.end();
  transport.reset();
  await closed;
  assert.equal(descriptorOf(transport.socket), undefined);
});
