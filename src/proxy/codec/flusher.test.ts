import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { Output } from "../../wire/hpack/output.ts";
import { flushSoon } from "./flusher.ts";
import { connectPlain } from "./sockets.ts";
import { Transport } from "./transport.ts";

async function connected(): Promise<
  { readonly transport: Transport; readonly peer: Socket } & Disposable
> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const reader = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };
  const transport = new Transport(reader, (onread) => connectPlain("127.0.0.1", port, onread));
  const both = [once(server, "connection"), once(transport.socket, "connect")];
  const [[peer]] = (await Promise.all(both)) as [[Socket], unknown];
  return {
    transport,
    peer,
    [Symbol.dispose]() {
      peer.destroy();
      transport.destroy();
      server.close();
    },
  };
}

async function received(peer: Socket): Promise<string> {
  let text = "";
  peer.setEncoding("latin1").on("data", (piece: string) => {
    text += piece;
  });
  await once(peer.resume(), "end");
  return text;
}

const endings: Readonly<Record<string, (transport: Transport) => void>> = {
  end: (transport) => transport.end(),
  close: (transport) => transport.close(),
  destroy: (transport) => transport.destroy(),
};

describe("text that a connection writes", () => {
  test("leaves in one piece at the end of the turn", async () => {
    using both = await connected();
    const { transport, peer } = both;
    const before = transport.socket.bytesWritten;
    transport.writeText("one ");
    transport.writeBytes(Buffer.from("(two) "), 0, 6);
    transport.writeChunk(Buffer.from("three"), 0, 5);
    assert.equal(transport.socket.bytesWritten, before);
    assert.equal(transport.queuedBytes, 20);
    await new Promise(setImmediate);
    assert.equal(transport.socket.bytesWritten, before + 20);
    assert.equal(transport.queuedBytes, 0);
    transport.end();
    assert.equal(await received(peer), "one (two) 5\r\nthree\r\n");
  });

  test("leaves before whatever else is written in that turn", async () => {
    using both = await connected();
    const { transport, peer } = both;
    const large = Buffer.alloc(20_000, "b");
    const out = new Output();
    out.append(Buffer.from("output"), 0, 6);
    transport.writeText("1");
    transport.writeBytes(large, 0, large.length);
    transport.writeText("2");
    transport.writeChunk(large, 0, large.length);
    transport.writeText("3");
    transport.writeMessage("head", large, 0, large.length);
    transport.writeText("4");
    transport.writeOutput(out);
    transport.writeText("5");
    transport.writeOwned(Buffer.from("owned"), () => {});
    transport.writeText("6");
    transport.end();
    const bulk = large.toString();
    assert.equal(
      await received(peer),
      `1${bulk}2${(20_000).toString(16)}\r\n${bulk}\r\n3head${bulk}4output5owned6`,
    );
  });

  for (const [name, finish] of Object.entries(endings)) {
    test(`leaves before a ${name} in that turn`, async () => {
      using both = await connected();
      const { transport, peer } = both;
      transport.writeText("the last word");
      finish(transport);
      assert.equal(await received(peer), "the last word");
    });
  }

  test("is not kept for the end of the turn once it is much", async () => {
    using both = await connected();
    const { transport } = both;
    for (let i = 0; i < 100; i++) {
      transport.writeText("x".repeat(1_000));
      assert(transport.queuedBytes - transport.socket.writableLength <= 14 * 1024);
    }
  });
});

test("those who wait for the end of a turn wait for thirty-one others at most", () => {
  const flushed: number[] = [];
  for (let i = 0; i < 100; i++) {
    flushSoon({ flush: () => flushed.push(i) });
    assert(i - flushed.length < 32, `${i} after ${flushed.length}`);
    assert(!flushed.includes(i));
  }
});
