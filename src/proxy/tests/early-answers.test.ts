/** Answers that are over before their requests are (HTTP/1.1). */

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { Harness, type RawClient } from "../testing/harness.ts";

/** Has begun to answer a POST of which half has come; `conclude` ends that answer. Everything else gets a whole one. */
async function early(
  harness: Harness,
): Promise<{ readonly client: RawClient; readonly conclude: () => void }> {
  let posted: Socket | undefined;
  const app = await harness.tcpApp((socket) => {
    socket.on("data", (bytes: Buffer) => {
      if (bytes.toString("latin1").startsWith("POST")) {
        posted = socket;
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfirs");
      } else if (bytes.toString("latin1").startsWith("GET")) {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond");
      }
    });
  });
  const { port } = await harness.toPorts([app]);
  const client = await harness.raw(port);
  return { client, conclude: () => posted?.write("t on") };
}

const get = "GET / HTTP/1.1\r\nhost: cart\r\n\r\n";

describe("a connection whose answer is over before its request, and did not say that it is the last", () => {
  for (const [name, head, half, rest] of [
    ["of a length", "content-length: 10", "01234", "56789"],
    ["in chunks", "transfer-encoding: chunked", "5\r\n01234\r\n", "5\r\n56789\r\n0\r\n\r\n"],
  ] as const) {
    test(`takes the next request once the rest has come: ${name}`, async () => {
      await using harness = new Harness();
      const { client, conclude } = await early(harness);
      client.send(`POST / HTTP/1.1\r\nhost: cart\r\n${head}\r\n\r\n${half}`);
      await client.until((text) => text.endsWith("firs"));
      conclude();
      await client.until((text) => text.endsWith("first on"));
      client.send(rest + get);
      const said = await client.until((text) => text.endsWith("second"));
      assert.match(said, /second$/);
      assert.doesNotMatch(said, /connection: close/);
    });
  }

  test("does not wait for the rest for ever", async () => {
    await using harness = new Harness();
    const { client, conclude } = await early(harness);
    client.send("POST / HTTP/1.1\r\nhost: cart\r\ncontent-length: 10\r\n\r\n01234");
    await client.until((text) => text.endsWith("firs"));
    conclude();
    assert.match(await client.untilEnd(), /first on$/);
  });
});
