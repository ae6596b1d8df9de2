/** The end of connections that the application keeps for a while only, and requests that must not run twice. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isHungUp } from "../../kernel/tcp-state.ts";
import { Harness, request } from "../testing/harness.ts";

const post = "POST / HTTP/1.1\r\nhost: cart\r\ncontent-length: 4\r\n\r\nbody";

/** Node's own server, which closes a connection after `seconds` without a request. */
async function keepingFor(harness: Harness, seconds: number) {
  const sockets: Socket[] = [];
  const server: Server = createServer((req, res) => {
    req.resume().on("end", () => res.end("ok"));
  });
  server.keepAliveTimeout = seconds * 1_000;
  server.on("connection", (socket: Socket) => sockets.push(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  harness.atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

/** The application has closed the connection and the sidecar has not read it, when the request is handed on. */
async function race(harness: Harness, knows: boolean) {
  let bodies = 0;
  const sockets: Socket[] = [];
  const app = await harness.tcpApp((socket) => {
    sockets.push(socket);
    socket.on("data", () => {
      bodies++;
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    socket.on("end", () => socket.end());
  });
  const { port } = await harness.toPorts([app], knows ? { isHungUp } : {});
  const client = await harness.raw(port);
  await client.send(post).until((text) => text.endsWith("ok"));
  const [first] = sockets;
  assert(first !== undefined);
  await sleep(10); // both ends of all connections are asleep
  // Both are done before the event loop looks: the request lies at the front, and the FIN behind it in the kernel.
  client.socket.write(post, "latin1");
  first.destroy();
  const text = await client.until(
    (all) => all.split("HTTP/1.1").length === 3 && /ok|overflow|reset/.test(all.slice(-80)),
  );
  return { status: text.split("HTTP/1.1 ")[2]?.slice(0, 3), bodies, connections: sockets.length };
}

describe("a POST on a connection that the application has just closed", () => {
  test("goes out on another one, once, and its client sees nothing", async () => {
    await using harness = new Harness();
    assert.deepEqual(await race(harness, true), { status: "200", bodies: 2, connections: 2 });
  });

  test("is lost where nobody asks the kernel: the race is a real one", async () => {
    await using harness = new Harness();
    const { status, bodies } = await race(harness, false);
    assert.deepEqual([status, bodies], ["503", 1]);
  });
});

describe("a connection to an application that keeps it for a second", () => {
  test("is used within half of it, and not after", async () => {
    await using harness = new Harness();
    const app = await keepingFor(harness, 1);
    const { port } = await harness.toPorts([app.port], { isHungUp });
    for (let i = 0; i < 3; i++) {
      assert.equal((await request(port, { method: "POST" }, "body")).status, 200);
    }
    assert.equal(app.sockets.length, 1);
    await sleep(520);
    assert.equal((await request(port, { method: "POST" }, "body")).status, 200);
    assert.equal(app.sockets.length, 2);
  });
});
