import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Output } from "../../wire/hpack/output.ts";
import { allocateOutput } from "./http2/outlet.ts";
import { adopt } from "./sockets.ts";
import { type Reader, Transport } from "./transport.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
const nobody: Reader = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

/** A transport to a peer that does not read, filled by writes of so many bytes until one had to wait. */
async function stuckPeer(
  pieceBytes: number,
): Promise<{ readonly transport: Transport; readonly bytes: Buffer } & Disposable> {
  const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const client = connect((listener.address() as AddressInfo).port, "127.0.0.1").pause();
  const [accepted] = await once(listener, "connection");
  const transport = new Transport(nobody, (onread) => adopt(accepted, onread));
  const bytes = Buffer.alloc(pieceBytes);
  while (transport.queuedBytes === 0) {
    transport.writeBytes(bytes, 0, bytes.length);
    await new Promise(setImmediate);
  }
  return {
    transport,
    bytes,
    [Symbol.dispose]() {
      client.destroy();
      transport.destroy();
      listener.close();
    },
  };
}

test("small outputs to a peer that does not read hold little more than they are", async () => {
  using stuck = await stuckPeer(64 * 1024);
  const { transport, bytes } = stuck;
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const out = new Output(allocateOutput);
  for (let i = 0; i < 2_000; i++) {
    out.append(bytes, 0, 17); // the answer to a ping
    transport.writeOutput(out);
  }
  collect();
  const held = process.memoryUsage().arrayBuffers - before;
  assert(held < 512 * 1024, `${held} bytes for ${2_000 * 17}`);
});

test("small outputs that wait in a socket's queue hold none of the memory that Node shares out", async () => {
  using stuck = await stuckPeer(16 * 1024);
  const { transport, bytes } = stuck;
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const out = new Output(allocateOutput);
  for (let i = 0; i < 200 && !transport.isBackedUp; i++) {
    out.append(bytes, 0, 17);
    transport.writeOutput(out);
    for (let shared = 0; shared < 2 * Buffer.poolSize; shared += 4_000) Buffer.allocUnsafe(4_000);
  }
  assert(!transport.isBackedUp, "all of them are in the queue");
  for (let i = 0; i < 5; i++) {
    collect(); // what is collected is given back later, by another thread
    await new Promise(setImmediate);
  }
  const held = process.memoryUsage().arrayBuffers - before;
  assert(held < 256 * 1024, `${held} bytes for ${200 * 17}`);
});
