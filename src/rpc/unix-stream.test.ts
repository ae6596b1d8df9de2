/** Against servers of grpc-js, and against peers that are none. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { MeshError } from "../base/error.ts";
import { failStream, type GrpcHandlers, serveGrpc } from "./grpc-server.ts";
import { unixStreams } from "./unix-stream.ts";

const method = "/test.Test/Stream";

/** Its head, but for the stream. */
const ping = Buffer.of(0, 0, 8, 6, 0);
/** SETTINGS, and the answer to a ping. */
const pong = Buffer.concat([
  Buffer.of(0, 0, 0, 4, 0, 0, 0, 0, 0),
  Buffer.of(0, 0, 8, 6, 1, 0, 0, 0, 0),
  Buffer.alloc(8),
]);
/** SETTINGS, and GOAWAY with ENHANCE_YOUR_CALM, as grpc-go says it. */
const tooManyPings = Buffer.concat([
  Buffer.of(0, 0, 0, 4, 0, 0, 0, 0, 0),
  Buffer.of(0, 0, 22, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 11),
  Buffer.from("too_many_pings"),
]);

/** A folder for a socket, gone with the scope. */
function socketPath(): { readonly path: string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "heddle-rpc-"));
  return {
    path: join(folder, "socket"),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** What came of a stream: its messages until `count` are there, or its end. */
class Witness {
  readonly messages: Uint8Array[] = [];
  readonly ended: Promise<MeshError>;
  readonly end: (error: MeshError) => void;
  #wake = (): void => {};

  constructor() {
    const { promise, resolve } = Promise.withResolvers<MeshError>();
    this.ended = promise;
    this.end = resolve;
  }

  readonly message = (bytes: Uint8Array): void => {
    this.messages.push(bytes);
    this.#wake();
  };

  async has(count: number): Promise<void> {
    while (this.messages.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

async function served(
  open: GrpcHandlers["streams"][string],
): Promise<{ readonly path: string; readonly witness: Witness } & AsyncDisposable> {
  const folder = socketPath();
  const server = await serveGrpc(
    { kind: "unix", path: folder.path },
    { streams: { [method]: open } },
  );
  return {
    path: folder.path,
    witness: new Witness(),
    [Symbol.asyncDispose]: async () => {
      await server.close();
      folder[Symbol.dispose]();
    },
  };
}

/** A server that does as it likes with what connects. */
async function peer(
  onSocket: (socket: Socket) => void,
): Promise<{ readonly path: string; readonly witness: Witness } & AsyncDisposable> {
  const folder = socketPath();
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(folder.path, resolve));
  return {
    path: folder.path,
    witness: new Witness(),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      folder[Symbol.dispose]();
    },
  };
}

describe("a stream to a unix socket", () => {
  test("carries messages of any size both ways, and ends as the server ends it", async () => {
    await using server = await served((stream) => {
      stream.on("data", (bytes: Uint8Array) => stream.write(bytes));
      stream.on("end", () => stream.end());
    });
    const { witness } = server;
    const stream = unixStreams(server.path, method)(witness);
    const sizes = [0, 1, 16_384, 3_000_000, 5];
    for (const size of sizes) stream.send(new Uint8Array(size).fill(size % 251));
    await witness.has(sizes.length);
    assert.deepEqual(
      witness.messages.map((bytes) => [bytes.length, bytes.at(-1)]),
      sizes.map((size) => [size, size === 0 ? undefined : size % 251]),
    );
    stream.close();
    assert.equal((await witness.ended).code, "rpc.closed");
  });

  test("ends with the server's words, and says whether trying again may help", async () => {
    await using server = await served((stream) => {
      stream.on("data", () =>
        failStream(stream, new MeshError("x.forbidden", "not for you: 50 %")),
      );
    });
    unixStreams(server.path, method)(server.witness).send(Uint8Array.of(1));
    const error = await server.witness.ended;
    assert.equal(error.code, "rpc.permission-denied");
    assert.match(error.message, /not for you: 50 %/);
    assert.equal(error.retryable, false);
  });

  test("ends when the server closes, and when there is none", async () => {
    const server = await served(() => {});
    const { path, witness } = server;
    unixStreams(path, method)(witness);
    await server[Symbol.asyncDispose]();
    const closed = await witness.ended;
    assert.equal(closed.code, "rpc.unavailable");
    assert.equal(closed.retryable, true);
    const second = new Witness();
    unixStreams(path, method)(second);
    const absent = await second.ended;
    assert.equal(absent.code, "rpc.unavailable");
    assert.match(absent.message, /ENOENT/);
  });

  test("ends with an unknown method", async () => {
    await using server = await served(() => {});
    unixStreams(server.path, "/test.Test/Other")(server.witness);
    const error = await server.witness.ended;
    assert.equal(error.code, "rpc.unimplemented");
    assert.equal(error.retryable, false);
  });

  test("ends with the error that the handler of messages throws", async () => {
    await using server = await served((stream) => {
      stream.write(Uint8Array.of(1));
      stream.write(Uint8Array.of(2));
    });
    const { witness } = server;
    const seen: Uint8Array[] = [];
    unixStreams(
      server.path,
      method,
    )({
      message: (bytes) => {
        seen.push(bytes);
        throw new MeshError("xds.malformed", "cannot be read");
      },
      end: witness.end,
    });
    assert.equal((await witness.ended).code, "xds.malformed");
    assert.equal(seen.length, 1);
  });

  test("gives a peer up that has fallen silent, but not one that answers pings", async () => {
    const patience = { silenceMs: 20, answerMs: 60_000, calmMs: 20 };
    await using lively = await served(() => {});
    unixStreams(lively.path, method, patience)(lively.witness);
    await using silent = await peer((socket) => socket.resume());
    unixStreams(silent.path, method, { ...patience, answerMs: 200 })(silent.witness);
    const error = await silent.witness.ended;
    assert.equal(error.code, "rpc.unavailable");
    assert.match(error.message, /no answer to a ping within 200 ms/);
    const first = await Promise.race([lively.witness.ended, Promise.resolve("is open")]);
    assert.equal(first, "is open"); // some ten pings later
  });

  test("is not given up where the answer to a ping came while this process stood still", async () => {
    const patience = { silenceMs: 20, answerMs: 20, calmMs: 20 };
    const asksAgain = Promise.withResolvers<string>();
    let pings = 0;
    await using slow = await peer((socket) => {
      socket.on("data", (bytes: Buffer) => {
        if (!bytes.includes(ping)) return;
        if (++pings === 2) asksAgain.resolve("asks again");
        // Between two looks at its sockets the process stands still for longer than an answer may take.
        setImmediate(() => {
          socket.write(pong); // it lies in the kernel before this returns
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
        });
      });
    });
    unixStreams(slow.path, method, patience)(slow.witness);
    const ended = slow.witness.ended.then(({ message }) => message);
    assert.equal(await Promise.race([ended, asksAgain.promise]), "asks again");
  });

  test("is not closed again and again by a server of grpc-go, which is asked too often", async () => {
    let askedAt = 0;
    await using strict = await peer((socket) => {
      socket.on("data", (bytes: Buffer) => {
        if (!bytes.includes(ping)) return;
        askedAt = performance.now();
        socket.end(tooManyPings);
      });
    });
    const open = unixStreams(strict.path, method, { silenceMs: 20, answerMs: 2_000, calmMs: 200 });
    open(strict.witness);
    assert.match((await strict.witness.ended).message, /asked too often/);
    const second = new Witness();
    const openedAt = performance.now();
    open(second);
    await second.ended;
    const afterMs = askedAt - openedAt;
    assert.ok(afterMs >= 199, `asked again after ${afterMs} ms`);
  });

  for (const [what, said, code] of [
    ["speaks HTTP/1.1", "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "rpc.internal"],
    ["closes at once", undefined, "rpc.unavailable"],
  ] as const) {
    test(`ends when the peer ${what}`, async () => {
      await using server = await peer((socket) => {
        socket.resume();
        if (said === undefined) socket.destroy();
        else socket.write(said);
      });
      unixStreams(server.path, method)(server.witness);
      assert.equal((await server.witness.ended).code, code);
    });
  }
});
