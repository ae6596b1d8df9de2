import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { before, describe, type TestContext, test } from "node:test";
import koffi from "koffi";
import { type Contexts, cartAndWeb, mutual, read, sealed } from "../testing/tls-pair.ts";
import type { Pointer } from "../tls/calls/library.ts";
import { TlsConnection } from "../tls/connection.ts";
import { openSsl } from "../tls/openssl.ts";
import { adopt, connectPlain } from "./sockets.ts";
import { type Reader, Transport } from "./transport.ts";

let contexts: Contexts;
before(async () => {
  contexts = await cartAndWeb();
});

class Recorder implements Reader {
  bytes = 0;
  drains = 0;
  readonly closed: Promise<Error | undefined>;
  #close: (error: Error | undefined) => void = () => {};
  constructor() {
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }
  onBytes(_bytes: Buffer, length: number): void {
    this.bytes += length;
  }
  onEnd(): void {}
  onDrain(): void {
    this.drains++;
  }
  onClose(error: Error | undefined): void {
    this.#close(error);
  }
}

const clientOptions = { alpn: ["http/1.1"], sni: "cart", isVerified: true, onSession: () => {} };

/** A transport whose server has sent the first of a ticket's records, and keeps the rest. */
async function midTicket(context: TestContext) {
  // SSL_CTRL_SET_MAX_SEND_FRAGMENT, as small as it may be.
  const control = koffi
    .load(null as unknown as string)
    .func("long SSL_CTX_ctrl(uintptr_t, int, long, uintptr_t)");
  assert.equal(control(contexts.server.pointer, 52, 512, 0), 1);
  const listener = createServer({ allowHalfOpen: true });
  context.after(() => listener.close());
  await once(listener.listen(0, "127.0.0.1"), "listening");
  const { port } = listener.address() as AddressInfo;
  const reader = new Recorder();
  const out = new Transport(reader, (onread) => connectPlain("127.0.0.1", port, onread));
  const [socket] = (await once(listener, "connection")) as [Socket];
  const server = TlsConnection.accept(contexts.server, mutual);
  context.after(() => {
    server.close();
    socket.destroy();
    out.destroy();
    control(contexts.server.pointer, 52, 16_384, 0);
  });
  const tickets = new Promise<Buffer>((resolve) => {
    socket.on("data", (bytes: Buffer) => {
      const { kind, output } = server.handshake(bytes, bytes.length);
      if (kind === "done") resolve(output);
      else socket.write(output);
    });
  });
  out.secure(TlsConnection.connect(contexts.client, clientOptions), () => {});
  const records = await tickets;
  const first = 5 + records.readUInt16BE(3);
  assert(first < records.length);
  socket.write(records.subarray(0, first));
  while (!out.isBackedUp) await new Promise(setImmediate);
  return { out, reader, socket, server, rest: records.subarray(first) };
}

describe("a transport with TLS of our own whose peer", () => {
  for (const ending of ["end", "close"] as const) {
    test(`cuts a ticket in records is written to between them, and told of its ${ending}`, async (context) => {
      const { out, reader, socket, server, rest } = await midTicket(context);
      out.writeText("text ");
      out.writeBytes(Buffer.from("bytes "), 0, 6);
      const written: string[] = [];
      out.writeOwned(Buffer.from("owned "), () => written.push("owned"));
      out.writeOwned(Buffer.from("more "), () => written.push("more"));
      out.writeChunk(Buffer.from("chunk"), 0, 5);
      assert.deepEqual(written, []);
      if (ending === "end") assert.equal(reader.drains, 0);
      out[ending]();
      let text = "";
      socket.removeAllListeners("data");
      socket.on("data", (bytes: Buffer) => {
        text += read(server, bytes);
      });
      socket.write(rest);
      await once(socket, "end");
      assert.equal(text, "text bytes owned more 5\r\nchunk\r\n");
      assert.equal(server.hasPeerClosed, true);
      assert.deepEqual(written, ["owned", "more"]);
      if (ending === "end") socket.end(server.end());
      else socket.destroy();
      assert.equal(await reader.closed, undefined);
    });
  }

  test("stops in the middle of a ticket does not keep it from closing", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { out, reader } = await midTicket(t);
    out.close();
    t.mock.timers.tick(1_999);
    assert.equal(out.isDestroyed, false);
    t.mock.timers.tick(1);
    assert.equal(await reader.closed, undefined);
  });

  test("has replies to changes of keys made and reads none of them is cut off", async (context) => {
    const reader = new Recorder();
    const listener = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (accepted) => {
      const transport = new Transport(reader, (onread) => adopt(accepted, onread));
      context.after(() => transport.destroy());
      const full = Buffer.alloc(32 * 1024 * 1024); // more than the kernel takes
      transport.secure(TlsConnection.accept(contexts.server, mutual), () =>
        transport.writeBytes(full, 0, full.length),
      );
    });
    context.after(() => listener.close());
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const calls = openSsl();
    const make = calls.newConnection;
    let pointer: Pointer = 0;
    calls.newConnection = (context) => {
      pointer = make(context);
      return pointer;
    };
    const client = TlsConnection.connect(contexts.client, clientOptions);
    calls.newConnection = make;
    const socket = connectTcp((listener.address() as AddressInfo).port, "127.0.0.1");
    context.after(() => {
      socket.destroy();
      client.close();
    });
    socket.on("error", () => {});
    socket.write(client.handshake().output);
    for (let isDone = false; !isDone; ) {
      const [bytes] = (await once(socket, "data")) as [Buffer];
      const { kind, output } = client.handshake(bytes, bytes.length);
      socket.write(output);
      isDone = kind === "done";
    }
    socket.pause();
    let isClosed = false;
    void reader.closed.then(() => {
      isClosed = true;
    });
    let count = 0;
    let sent = 0;
    while (!isClosed && count < 200) {
      calls.updateKey(pointer, 1); // SSL_KEY_UPDATE_REQUESTED
      count++;
      // A byte with it, and one in a read of its own, which makes up for the record without data.
      for (let i = 0; i < 2 && !isClosed; i++) {
        socket.write(sealed(client, "x"));
        sent++;
        while (!isClosed && reader.bytes < sent) await new Promise(setImmediate);
      }
    }
    const error = isClosed ? await reader.closed : undefined;
    assert.match(String(error), /too many replies that it does not read/);
    assert(count > 30, `${count} replies`);
  });
});
