/** The end of connections that the application keeps for a while only, and requests that must not run twice. */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isHungUp } from "../../kernel/tcp-state.ts";
import { Harness, request } from "../testing/harness.ts";

const post = "POST / HTTP/1.1\r\nhost: cart\r\ncontent-length: 4\r\n\r\nbody";

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
    let [connections, now] = [0, 0];
    const app = await harness.tcpApp((socket) => {
      connections++;
      socket.on("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok");
      });
    });
    const { port } = await harness.toPorts([app], { isHungUp, now: () => now });
    for (let i = 0; i < 3; i++) {
      assert.equal((await request(port)).status, 200);
      now += 480;
    }
    assert.equal(connections, 1);
    now += 40;
    assert.equal((await request(port)).status, 200);
    assert.equal(connections, 2);
  });
});
