import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer } from "node:net";
import { before, describe, type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createMeshCa, type ProxySecrets } from "../testing/mesh-ca.ts";
import { TlsConnection } from "../tls/connection.ts";
import { TlsContext } from "../tls/context.ts";
import { adopt, connectPlain, descriptorOf } from "./sockets.ts";
import { type Reader, Transport } from "./transport.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

let server: ProxySecrets;
let client: ProxySecrets;
before(async () => {
  const ca = await createMeshCa();
  server = await ca.secrets("spiffe://cluster.local/ns/a/sa/server");
  client = await ca.secrets("spiffe://cluster.local/ns/a/sa/client");
});

function contextOf([own, { roots }]: ProxySecrets): TlsContext {
  return new TlsContext({ own, roots, sessionName: "test", sessionSeconds: 60 });
}

/** What it reads, and that it is told of one end and one close. */
class Recorder implements Reader {
  readonly hash = createHash("sha256");
  text = "";
  bytes = 0;
  ends = 0;
  readonly closed: Promise<Error | undefined>;
  onRead: () => void = () => {};
  onPeerEnd: () => void = () => {};
  #close: (error: Error | undefined) => void = () => {};

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
  }

  onBytes(bytes: Buffer, length: number): void {
    this.hash.update(bytes.subarray(0, length));
    if (this.bytes < 1_000) this.text += bytes.toString("latin1", 0, length);
    this.bytes += length;
    this.onRead();
  }
  onEnd(): void {
    this.ends++;
    this.onPeerEnd();
  }
  onDrain(): void {}
  onClose(error: Error | undefined): void {
    this.#close(error);
  }
}

/** Accepts TLS of ours for each connection; `ready` is called with it after the handshake. */
async function listening(
  context: TestContext,
  reader: () => Reader,
  ready: (transport: Transport) => void = () => {},
): Promise<number> {
  const tls = contextOf(server);
  const transports: Transport[] = [];
  const options = { alpn: ["x"], asksForCertificate: true, requireClientCertificate: true };
  const listener = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    const transport = new Transport(reader(), (onread) => adopt(socket, onread));
    transports.push(transport);
    transport.secure(TlsConnection.accept(tls, options), () => ready(transport));
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  context.after(() => {
    listener.close();
    for (const transport of transports) transport.destroy();
  });
  return (listener.address() as AddressInfo).port;
}

function dial(context: TestContext, port: number, reader: Reader): Promise<Transport> {
  return new Promise((resolve) => {
    const transport = new Transport(reader, (onread) => connectPlain("127.0.0.1", port, onread));
    context.after(() => transport.destroy());
    const options = { alpn: ["x"], sni: "", isVerified: true, onSession: () => {} };
    const connection = TlsConnection.connect(contextOf(client), options);
    transport.secure(connection, () => resolve(transport));
  });
}

describe("a transport with TLS of our own", () => {
  test("carries all that is written in whatever way to a reader that often pauses", async (context) => {
    const inside = new Recorder();
    const port = await listening(
      context,
      () => inside,
      (transport) => {
        inside.onRead = () => {
          transport.pause();
          setImmediate(() => transport.resume());
        };
      },
    );
    const own = new Recorder();
    const out = await dial(context, port, own);
    const blob = randomBytes(300_000);
    const expected = createHash("sha256");
    for (let i = 0; i < 20; i++) {
      out.writeText(blob.toString("latin1", 0, 100_000));
      expected.update(blob.subarray(0, 100_000));
      out.writeBytes(blob, 5, 60_000);
      expected.update(blob.subarray(5, 60_000));
      out.writeMessage("head", blob, 1, 30_000);
      expected.update("head").update(blob.subarray(1, 30_000));
      out.writeChunk(blob, 0, 70_000);
      expected.update("11170\r\n").update(blob.subarray(0, 70_000)).update("\r\n");
      await new Promise<void>((resolve) => out.writeOwned(blob, resolve));
      expected.update(blob);
    }
    out.end();
    await new Promise<void>((resolve) => {
      inside.onPeerEnd = resolve;
    });
    assert.equal(inside.hash.digest("hex"), expected.digest("hex"));
    out.destroy();
    await own.closed;
  });

  test("closes each direction on its own, and gives its socket back", async (context) => {
    const inside = new Recorder();
    const port = await listening(
      context,
      () => inside,
      (transport) => {
        inside.onPeerEnd = () => {
          transport.writeText(`you said ${inside.text}`);
          transport.end();
        };
      },
    );
    const own = new Recorder();
    const out = await dial(context, port, own);
    out.writeText("hello");
    out.end();
    assert.equal(await own.closed, undefined);
    assert.equal(await inside.closed, undefined);
    assert.equal(own.text, "you said hello");
    assert.deepEqual([own.ends, inside.ends], [1, 1]);
    assert.equal(descriptorOf(out.socket), undefined);
  });

  test("takes the FIN of a peer that goes without a word of TLS for a break, and for no end", async (context) => {
    for (const cut of [0, 40]) {
      const inside = new Recorder();
      const port = await listening(context, () => inside);
      const own = new Recorder();
      const out = await dial(context, port, own);
      out.writeText("an answer without length");
      out.flush();
      // A record's beginning, or nothing at all.
      out.socket.end(
        Buffer.concat([Buffer.of(23, 3, 3, 0, 100), randomBytes(40)]).subarray(0, cut),
      );
      assert.match(String(await inside.closed), /the connection ended without close_notify/);
      assert.equal(inside.text, "an answer without length");
      assert.equal(inside.ends, 0);
      out.destroy();
      await own.closed;
    }
  });

  test("closes with the error of whatever is no TLS, and harms nobody else", async (context) => {
    const readers: Recorder[] = [];
    const port = await listening(context, () => {
      const reader = new Recorder();
      readers.push(reader);
      return reader;
    });
    const own = new Recorder();
    const out = await dial(context, port, own);
    const stranger = connectTcp(port, "127.0.0.1");
    context.after(() => stranger.destroy());
    stranger.on("error", () => {});
    stranger.write("GET / HTTP/1.1\r\n\r\n");
    while (readers.length < 2) await new Promise(setImmediate);
    assert.match(String(await readers[1]?.closed), /speak TLS with a peer: http request/);
    const [first] = readers;
    assert.ok(first);
    out.writeText("still here");
    while (first.bytes === 0) await new Promise(setImmediate);
    assert.equal(first.text, "still here");
    // Records that were changed on the way, past the transport.
    out.socket.write(Buffer.concat([Buffer.of(23, 3, 3, 0, 40), randomBytes(40)]));
    assert.match(String(await first.closed), /bad_record_mac/);
    assert.match(String(await own.closed), /it sent the alert bad_record_mac/); // no end: a break
    assert.equal(own.ends, 0);
  });

  test("loses nothing that Node's TLS says in one breath with its end of the handshake", async (context) => {
    const inside = new Recorder();
    const port = await listening(
      context,
      () => inside,
      (transport) => {
        inside.onPeerEnd = () => {
          transport.writeText(inside.text.toUpperCase());
          transport.close();
        };
      },
    );
    const [own, trust] = client;
    const socket = connectTls({
      port,
      host: "127.0.0.1",
      key: own.key,
      cert: own.chain,
      ca: trust.roots,
      ALPNProtocols: ["x"],
      checkServerIdentity: () => undefined,
    });
    context.after(() => socket.destroy());
    socket.end("hello"); // goes with its Finished, and its farewell too
    let text = "";
    for await (const bytes of socket) text += bytes;
    assert.equal(text, "HELLO");
  });

  test("holds none of the memory that Node shares out for small records that wait in a socket's queue", async (context) => {
    let inside: Transport | undefined;
    const port = await listening(
      context,
      () => new Recorder(),
      (transport) => {
        inside = transport;
        transport.pause();
      },
    );
    const out = await dial(context, port, new Recorder());
    while (inside === undefined) await new Promise(setImmediate);
    const bytes = Buffer.alloc(16 * 1024);
    while (out.queuedBytes === 0) {
      out.writeBytes(bytes, 0, bytes.length);
      await new Promise(setImmediate);
    }
    collect();
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 200; i++) {
      out.writeText("pong");
      for (let shared = 0; shared < 2 * Buffer.poolSize; shared += 4_000) Buffer.allocUnsafe(4_000);
    }
    assert(!out.isBackedUp, "all of them are in the queue");
    for (let i = 0; i < 5; i++) {
      collect(); // what is collected is given back later, by another thread
      await new Promise(setImmediate);
    }
    const held = process.memoryUsage().arrayBuffers - before;
    assert(held < 256 * 1024, `${held} bytes for ${200 * 26}`);
  });
});
