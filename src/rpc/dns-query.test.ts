import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { describe, test } from "node:test";
import { queryServer } from "./dns-query.ts";

/** Where others have the number of TCP's port for UDP, another is taken. */
async function atOnePort(): Promise<{ udp: Socket; tcp: Server; port: number }> {
  for (;;) {
    const [udp, tcp] = [createSocket("udp4"), createServer().listen(0, "127.0.0.1")];
    await once(tcp, "listening");
    const { port } = tcp.address() as AddressInfo;
    const isFree = await once(udp.bind(port, "127.0.0.1"), "listening").then(
      () => true,
      () => false,
    );
    if (isFree) return { udp, tcp, port };
    udp.close();
    tcp.close();
  }
}

describe("a question to a name server", { timeout: 300_000 }, () => {
  test("that cannot be reached at all fails, and does not end the process", async () => {
    // A socket is not connected to it without being allowed to: the same as where there is no route.
    const server = { address: "255.255.255.255", port: 53 };
    const question = { name: "a.example", type: 1, class: 1 };
    await assert.rejects(queryServer(server, question, 10_000), /^Error: connect E/);
  });

  test("whose answer came while this process stood still is answered", async () => {
    const udp = createSocket("udp4").bind(0, "127.0.0.1");
    await once(udp, "listening");
    udp.on("message", (bytes, from) =>
      // Between two looks at its sockets the process stands still for longer than an answer may take.
      setImmediate(() => {
        bytes[2] = (bytes[2] ?? 0) | 0x80; // an answer
        udp.send(bytes, from.port, from.address);
        process.nextTick(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600));
      }),
    );
    try {
      const question = { name: "a.example", type: 1, class: 1 };
      const server = { address: "127.0.0.1", port: udp.address().port };
      assert.equal((await queryServer(server, question, 500)).isResponse, true);
    } finally {
      udp.close();
    }
  });

  test("that is answered byte by byte without end fails when its time is up", async () => {
    const { udp, tcp, port } = await atOnePort();
    tcp.on("connection", (client) => {
      const timer = setInterval(() => client.write("\0"), 20); // empty messages
      client.on("error", () => {});
      client.on("close", () => clearInterval(timer));
    });
    udp.on("message", (bytes, from) => {
      bytes[2] = (bytes[2] ?? 0) | 0x82; // an answer, cut
      udp.send(bytes, from.port, from.address);
    });
    try {
      const question = { name: "a.example", type: 1, class: 1 };
      const asked = queryServer({ address: "127.0.0.1", port }, question, 200);
      await assert.rejects(asked, /no answer in time/);
    } finally {
      udp.close();
      tcp.close();
    }
  });
});
