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

test("small outputs to a peer that does not read hold little more than they are", async () => {
  const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const client = connect((listener.address() as AddressInfo).port, "127.0.0.1").pause();
  const [accepted] = await once(listener, "connection");
  const transport = new Transport(nobody, (onread) => adopt(accepted, onread));
  const bulk = Buffer.alloc(64 * 1024);
  while (transport.queuedBytes === 0) {
    transport.writeBytes(bulk, 0, bulk.length);
    await new Promise(setImmediate);
  }
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const out = new Output(allocateOutput);
  for (let i = 0; i < 2_000; i++) {
    out.append(bulk, 0, 17); // the answer to a ping
    transport.writeOutput(out);
  }
  collect();
  const held = process.memoryUsage().arrayBuffers - before;
  client.destroy();
  transport.destroy();
  listener.close();
  assert(held < 512 * 1024, `${held} bytes for ${2_000 * 17}`);
});

test("small outputs that wait in a socket's queue hold none of the memory that Node shares out", async () => {
  const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const client = connect((listener.address() as AddressInfo).port, "127.0.0.1").pause();
  const [accepted] = await once(listener, "connection");
  const transport = new Transport(nobody, (onread) => adopt(accepted, onread));
  const bytes = Buffer.alloc(16 * 1024);
  while (transport.queuedBytes === 0) {
    transport.writeBytes(bytes, 0, bytes.length);
    await new Promise(setImmediate);
  }
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
  client.destroy();
  transport.destroy();
  listener.close();
  assert(held < 256 * 1024, `${held} bytes for ${200 * 17}`);
});
