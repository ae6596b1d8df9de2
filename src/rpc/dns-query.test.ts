import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, test } from "node:test";
import { queryServer } from "./dns-query.ts";

describe("a question to a name server", { timeout: 20_000 }, () => {
  test("that cannot be reached at all fails, and does not end the process", async () => {
    // A socket is not connected to it without being allowed to: the same as where there is no route.
    const server = { address: "255.255.255.255", port: 53 };
    const question = { name: "a.example", type: 1, class: 1 };
    await assert.rejects(queryServer(server, question, 10_000), /^Error: connect E/);
  });

  test("that is answered byte by byte without end fails when its time is up", async () => {
    const udp = createSocket("udp4");
    const tcp = createServer((client) => {
      const timer = setInterval(() => client.write("\0"), 20); // empty messages
      client.on("error", () => {});
      client.on("close", () => clearInterval(timer));
    });
    tcp.listen(0, "127.0.0.1");
    await once(tcp, "listening");
    const { port } = tcp.address() as AddressInfo;
    udp.on("message", (bytes, from) => {
      bytes[2] = (bytes[2] ?? 0) | 0x82; // an answer, cut
      udp.send(bytes, from.port, from.address);
    });
    udp.bind(port, "127.0.0.1");
    await once(udp, "listening");
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
