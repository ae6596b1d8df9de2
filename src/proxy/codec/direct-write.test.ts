/** Every case is one of a socket, and seen with `socket.write` as well: nobody can tell who wrote. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { writeDirectly } from "./direct-write.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

type Write = (socket: Socket, chunk: string | Buffer) => void;

const writers: Readonly<Record<string, Write>> = {
  "a direct write": writeDirectly,
  "a write of the stream": (socket, chunk) => {
    socket.write(chunk, "latin1");
  },
};

const turn = () => new Promise((resolve) => setImmediate(resolve));
const kilobyte = (i: number) => `${i} `.padEnd(1024, "é");

/** Two ends of a connection; the far one has not begun to read. */
class Pair implements Disposable {
  readonly near: Socket;
  readonly far: Socket;
  readonly #server: Server;

  constructor(near: Socket, far: Socket, server: Server) {
    this.near = near;
    this.far = far;
    this.#server = server;
  }

  static async open(where: ListenOptions = { host: "127.0.0.1", port: 0 }): Promise<Pair> {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    await once(server.listen(where), "listening");
    const address = server.address();
    const near =
      typeof address === "string"
        ? connect({ path: address, allowHalfOpen: true })
        : connect({ host: "127.0.0.1", port: address?.port ?? 0, allowHalfOpen: true });
    const [[far]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [
      [Socket],
      unknown,
    ];
    return new Pair(near, far, server);
  }

  /** Writes pieces until the kernel has no room for one; returns all that was written. */
  fill(write: Write): string {
    let text = "";
    for (let i = 0; this.near.writableLength === 0; i++) {
      text += kilobyte(i);
      write(this.near, kilobyte(i));
    }
    return text;
  }

  /** All that the far end gets until the near one has ended. */
  async received(): Promise<string> {
    const pieces: Buffer[] = [];
    this.far.on("data", (piece: Buffer) => pieces.push(piece));
    await once(this.far.resume(), "end");
    return Buffer.concat(pieces).toString("latin1");
  }

  [Symbol.dispose](): void {
    this.near.destroy();
    this.far.destroy();
    this.#server.close();
  }
}

test("a direct write that the kernel takes whole never gets to the stream", async () => {
  using pair = await Pair.open();
  pair.near.write = () => assert.fail("written by the stream");
  writeDirectly(pair.near, "text ");
  writeDirectly(pair.near, Buffer.from("bytes"));
  assert.equal(pair.near.writableLength, 0);
  pair.near.end();
  assert.equal(await pair.received(), "text bytes");
});

for (const [name, write] of Object.entries(writers)) {
  describe(name, () => {
    test("of which the kernel takes a part counts as queued until it has the rest", async () => {
      using pair = await Pair.open();
      const text = pair.fill(write);
      assert.equal(pair.near.writableLength, 1024);
      write(pair.near, "behind it");
      assert.equal(pair.near.writableLength, 1024 + 9);
      const received = pair.received();
      while (pair.near.writableLength > 0) await turn();
      write(pair.near, ", and once it is gone");
      pair.near.end();
      assert.equal(await received, `${text}behind it, and once it is gone`);
    });

    test("of which the kernel takes nothing counts as queued, and is drained", async () => {
      using pair = await Pair.open();
      const text = pair.fill(write);
      const more = Buffer.alloc(1024 * 1024, 65);
      write(pair.near, more);
      const drained = once(pair.near, "drain");
      const received = pair.received();
      await drained;
      assert.equal(pair.near.writableLength, 0);
      write(pair.near, "after it");
      pair.near.end();
      const all = await received;
      assert.equal(all.length, text.length + more.length + 8);
      assert(all.startsWith(text) && all.endsWith("AAAafter it"));
    });

    test("is of the bytes that were given, whatever becomes of their memory", async () => {
      using pair = await Pair.open();
      const bytes = 8 * 1024 * 1024;
      (() => write(pair.near, Buffer.alloc(bytes, "a")))();
      assert.equal(pair.near.writableLength, bytes);
      pair.near.end();
      const received = pair.received();
      while (!pair.near.writableFinished) {
        collect();
        Buffer.alloc(bytes, "b");
        await turn();
      }
      const text = await received;
      assert.equal(text.length, bytes);
      assert.doesNotMatch(text, /[^a]/);
    });

    test("is sent before the end that follows it at once", async () => {
      using pair = await Pair.open();
      const text = pair.fill(write);
      pair.near.end("the last words");
      assert.equal(await pair.received(), `${text}the last words`);
    });

    test("is sent before a close that follows it at once", async () => {
      using pair = await Pair.open();
      const text = pair.fill(write);
      pair.near.destroySoon();
      assert.equal(await pair.received(), text);
      if (!pair.near.closed) await once(pair.near, "close");
    });

    for (const how of ["destroy", "resetAndDestroy"] as const) {
      test(`of which the kernel took a part goes with its socket's ${how}`, async () => {
        using pair = await Pair.open();
        pair.far.on("error", () => {});
        pair.fill(write);
        pair.near.on("error", (error) => assert.fail(error));
        pair.near[how]();
        assert.deepEqual(await once(pair.near, "close"), [false]);
      });
    }

    test("to a peer that has reset breaks the socket with what the kernel says", async () => {
      using pair = await Pair.open();
      const closed = new Promise((resolve) => pair.near.once("close", resolve));
      const failed = new Promise<NodeJS.ErrnoException>((resolve) => {
        pair.near.once("error", resolve);
      });
      pair.near.pause();
      pair.far.resetAndDestroy();
      while (!pair.near.destroyed) {
        write(pair.near, "anybody?");
        await turn();
      }
      const { code, errno, syscall, message } = await failed;
      assert.deepEqual(
        { code, errno, syscall, message },
        { code: "ECONNRESET", errno: -104, syscall: "write", message: "write ECONNRESET" },
      );
      assert.equal(await closed, true);
    });

    test("does not take its socket away before it returns", async () => {
      using pair = await Pair.open();
      pair.near.on("error", () => {});
      pair.near.pause();
      pair.far.resetAndDestroy();
      for (let isBroken = false; !isBroken; await turn()) {
        write(pair.near, "anybody?");
        assert.equal(pair.near.destroyed, false);
        isBroken = pair.near.errored !== null;
      }
    });

    test("before there is a connection waits for it", async () => {
      const server = createServer();
      await once(server.listen(0, "127.0.0.1"), "listening");
      const address = server.address();
      const near = connect(typeof address === "string" ? 0 : (address?.port ?? 0), "127.0.0.1");
      write(near, "early");
      assert.equal(near.writableLength, 5);
      const [far] = (await once(server, "connection")) as [Socket];
      using pair = new Pair(near, far, server);
      write(near, " bird");
      near.end();
      assert.equal(await pair.received(), "early bird");
    });

    test("after the end is refused, and nothing of it sent", async () => {
      using pair = await Pair.open();
      write(pair.near, "all");
      pair.near.end();
      const failed = once(pair.near, "error");
      write(pair.near, " but this");
      const [error] = (await failed) as [NodeJS.ErrnoException];
      assert.equal(error.code, "ERR_STREAM_WRITE_AFTER_END");
      assert.equal(await pair.received(), "all");
    });

    test("to a socket that is destroyed is nothing", async () => {
      using pair = await Pair.open();
      pair.near.on("error", (error) => assert.fail(error));
      pair.near.destroy();
      using other = await Pair.open(); // whose descriptors may be the same
      write(pair.near, "late");
      other.near.end();
      assert.equal(await pair.received(), "");
      assert.equal(await other.received(), "");
    });

    test("to a socket that is corked waits, in order", async () => {
      using pair = await Pair.open();
      pair.near.cork();
      write(pair.near, "one ");
      pair.near.write("two ");
      assert.equal(pair.near.writableLength, 8);
      pair.near.uncork();
      write(pair.near, "three");
      pair.near.end();
      assert.equal(await pair.received(), "one two three");
    });

    test("may be larger than what libuv writes without memory of its own", async () => {
      using pair = await Pair.open();
      const text = kilobyte(7).repeat(40);
      write(pair.near, text);
      pair.near.end();
      assert.equal(await pair.received(), text);
    });

    test("is counted in the socket's bytes", async () => {
      using pair = await Pair.open();
      write(pair.near, kilobyte(1));
      write(pair.near, Buffer.alloc(10));
      assert.equal(pair.near.bytesWritten, 1034);
      pair.near.destroy();
      assert.equal(pair.near.bytesWritten, 1034);
    });

    test("may be to a socket of the file system", async () => {
      const folder = mkdtempSync(join(tmpdir(), "heddle-direct-"));
      using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
      using pair = await Pair.open({ path: join(folder, "socket") });
      const text = pair.fill(write);
      pair.near.end();
      assert.equal(await pair.received(), text);
    });
  });
}
