/** A WebSocket client as browsers have it, unmodified, through a sidecar to a server. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Harness } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

/** RFC 6455 §4.2.2. */
const handshakeText = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Greets, and sends every short text frame back. */
function echo(harness: Harness): Promise<number> {
  return harness.tcpApp((socket) => {
    socket.once("data", (head) => {
      const key = /sec-websocket-key: (.*)\r\n/i.exec(head.toString("latin1"))?.[1] ?? "";
      const accept = createHash("sha1")
        .update(key + handshakeText)
        .digest("base64");
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      socket.write(frame(Buffer.from("welcome")));
      socket.on("data", (bytes: Buffer) => {
        const isClose = ((bytes[0] ?? 0) & 0x0f) === 8;
        if (isClose) socket.end(Buffer.from([0x88, 0]));
        else socket.write(frame(unmasked(bytes)));
      });
    });
  });
}

function frame(text: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x81, text.length]), text]);
}

function unmasked(bytes: Buffer): Buffer {
  const mask = bytes.subarray(2, 6);
  return Buffer.from(bytes.subarray(6).map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
}

describe("a WebSocket", () => {
  test("opens, carries messages both ways, and closes", async () => {
    await using harness = new Harness();
    const { port } = await harness.toPorts([await echo(harness)]);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`);
    const messages: string[] = [];
    const closed = once(socket, "close");
    socket.addEventListener("message", ({ data }) => {
      messages.push(`${data}`);
      if (messages.length === 1) socket.send("hello");
      else socket.close();
    });
    await closed;
    assert.deepEqual(messages, ["welcome", "hello"]);
  });

  test("is opened by a 101 of our version that claims no body, whatever its server's says", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\n");
        socket.write("Connection: Upgrade\r\nContent-Length: 7\r\n\r\nwelcome");
      });
    });
    const { port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send(
      "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: a\r\n\r\n",
    );
    const said = await client.until((text) => text.endsWith("welcome"));
    assert.equal(
      said,
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\nwelcome",
    );
  });

  test("is ended at the server where the client had ended it before the answer", async () => {
    await using harness = new Harness();
    const ended = Promise.withResolvers<void>();
    let answer: (() => void) | undefined;
    const app = await harness.tcpApp((socket) => {
      socket.once("data", () => {
        answer = () => {
          socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n");
          socket.write("Connection: Upgrade\r\n\r\nwelcome");
        };
      });
      socket.on("end", () => {
        ended.resolve();
        socket.end("bye");
      });
    });
    const { sidecar, port } = await harness.toPorts([app]);
    const client = await harness.raw(port);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    client.send("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    await new Promise<void>((resolve) => client.socket.end(resolve));
    // Its FIN is on the socket: the sidecar's next turns read it, in this process.
    while (answer === undefined) await new Promise(setImmediate);
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    answer();
    await ended.promise;
    assert.match(await client.untilEnd(), /welcomebye$/);
    const { overload } = sidecar.runtime.environment;
    while (overload.activeRequests > 0) await new Promise(setImmediate);
  });

  test("outlives its route's timeout, which is for the answer", async () => {
    await using harness = new Harness();
    let now = 0;
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app", { timeoutMs: 100 }))])],
      {
        clusters: [cluster("app")],
        endpoints: [{ cluster: "app", endpoints: [endpoint(await echo(harness))] }],
      },
      { now: () => now },
    );
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`);
    harness.atEnd(() => socket.close());
    await once(socket, "message");
    now += 200;
    sidecar.runtime.environment.wheel.turn();
    socket.send("still here");
    const [said] = await Promise.race([once(socket, "message"), once(socket, "close")]);
    assert.equal(said.data, "still here");
  });
});
