import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Output } from "../../wire/hpack/output.ts";
import { connectPlain } from "./sockets.ts";
import { Transport } from "./transport.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Bytes of memory. */
function kept(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** A transport to a peer that reads nothing until it is told to, with as much written as makes its writers wait. */
async function backedUp(context: TestContext): Promise<{ transport: Transport; peer: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const reader = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };
  const transport = new Transport(reader, (onread) => connectPlain("127.0.0.1", port, onread));
  const [peer] = (await once(server, "connection")) as [Socket];
  context.after(() => {
    peer.destroy();
    transport.destroy();
    server.close();
  });
  const piece = Buffer.alloc(32 * 1024, 65);
  while (!transport.isBackedUp) {
    transport.writeBytes(piece, 0, piece.length);
    await new Promise(setImmediate);
  }
  return { transport, peer };
}

describe("a peer that does not read", () => {
  test("has little more than the bytes kept that are written for it singly", async (context) => {
    const { transport } = await backedUp(context);
    const count = 100_000;
    const queued = transport.queuedBytes;
    const before = kept();
    for (let i = 0; i < count; i++) transport.writeChunk(Buffer.of(65), 0, 1);
    const grown = kept() - before;
    assert(grown < 3 * 1024 * 1024, `${grown} bytes for ${count} chunks`);
    assert.equal(transport.queuedBytes - queued, 6 * count);
  });

  test("has little more kept of many small outputs than these", async (context) => {
    const { transport } = await backedUp(context);
    const count = 20_000;
    const out = new Output();
    const before = kept();
    for (let i = 0; i < count; i++) {
      out.append(Buffer.from("an answer to PING"), 0, 17);
      transport.writeOutput(out);
    }
    const grown = kept() - before;
    assert(grown < 3 * 1024 * 1024, `${grown} bytes for ${count} outputs`);
  });

  test("gets all of it in order once it does, whatever wrote it", async (context) => {
    const { transport, peer } = await backedUp(context);
    transport.writeText("text ");
    transport.writeChunk(Buffer.from("chunk"), 0, 5);
    transport.writeBytes(Buffer.from("bytes "), 0, 6);
    transport.writeMessage("head ", Buffer.from("body "), 0, 5);
    const out = new Output();
    out.append(Buffer.from("output "), 0, 7);
    transport.writeOutput(out);
    let isWritten = false;
    transport.writeOwned(Buffer.from("owned "), () => {
      isWritten = true;
    });
    transport.writeText("last");
    transport.end();
    const parts: string[] = [];
    peer.on("data", (bytes: Buffer) => parts.push(bytes.toString("latin1")));
    peer.resume();
    await once(peer, "end");
    const text = parts.join("").replace(/^A*/, "");
    assert.equal(text, "text 5\r\nchunk\r\nbytes head body output owned last");
    assert.equal(isWritten, true);
  });
});
