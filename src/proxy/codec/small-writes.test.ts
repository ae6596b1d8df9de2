import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createMeshCa } from "../testing/mesh-ca.ts";
import { contextOf, mutual } from "../testing/tls-pair.ts";
import { TlsConnection } from "../tls/connection.ts";
import { adopt } from "./sockets.ts";
import { Transport } from "./transport.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

test("small writes to a peer that does not read hold little more than they are", async () => {
  const ca = await createMeshCa();
  const server = contextOf(await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart"));
  const client = contextOf(await ca.secrets("spiffe://cluster.local/ns/shop/sa/web"));
  let transport: Transport | undefined;
  let isSecure = false;
  const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    transport = new Transport({ onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} }, (onread) =>
      adopt(socket, onread),
    );
    transport.secure(TlsConnection.accept(server, mutual), () => {
      isSecure = true;
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const socket = connect((listener.address() as AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  const tls = TlsConnection.connect(client, {
    alpn: ["http/1.1"],
    sni: "",
    isVerified: true,
    onSession() {},
  });
  socket.write(tls.handshake().output);
  for (;;) {
    const [bytes] = (await once(socket, "data")) as [Buffer];
    const step = tls.handshake(bytes, bytes.length);
    socket.write(step.output);
    if (step.kind === "done") break;
  }
  socket.pause();
  while (!isSecure) await new Promise(setImmediate);
  const t = transport as Transport;
  const bulk = Buffer.alloc(64 * 1024);
  while (t.queuedBytes === 0) {
    t.writeBytes(bulk, 0, bulk.length);
    await new Promise(setImmediate);
  }
  collect();
  const before = process.memoryUsage();
  const base = t.queuedBytes;
  let n = 0;
  while (t.queuedBytes - base < 64 * 1024) {
    t.writeText("x".repeat(20));
    n++;
    if (n % 50 === 0) await new Promise(setImmediate);
  }
  collect();
  const after = process.memoryUsage();
  const held = after.arrayBuffers - before.arrayBuffers;
  console.log({ n, queued: t.queuedBytes - base, held, rss: after.rss - before.rss });
  socket.destroy();
  t.destroy();
  listener.close();
  assert(held < 1024 * 1024, `${held} bytes for ${64 * 1024}`);
});
