/** Clients that are slow to read the last answer of their connection. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { HttpDownstream } from "../codec/downstream.ts";
import { Http2Downstream } from "../codec/http2/downstream.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness } from "../testing/harness.ts";
import { hexFrame, readFrames } from "../testing/raw-frames.ts";

const piece = "x".repeat(16 * 1024);

/** The one connection, once it is told apart. */
function connectionOf(sidecar: Sidecar): HttpDownstream | Http2Downstream | undefined {
  for (const one of sidecar.runtime.connections.all) {
    if (one instanceof HttpDownstream || one instanceof Http2Downstream) return one;
  }
  return undefined;
}

/**
 * Has the application answer with more than the kernel takes for a client that reads nothing, as little more as can be, and
 * sweeps when the answer is over. Answers how many bytes that was.
 */
async function answerAll(
  sidecar: Sidecar,
  response: ServerResponse,
  client: Socket,
): Promise<number> {
  const waiting = () => connectionOf(sidecar)?.transport.queuedBytes ?? 0;
  let said = 0;
  while (waiting() === 0) {
    response.write(piece);
    said += piece.length;
    await delay(1);
  }
  response.end();
  // Where more came at once than is queued, the rest of it waits for the client.
  while (sidecar.runtime.environment.overload.activeRequests > 0) {
    client.resume();
    await delay(1);
    client.pause();
  }
  const { environment, connections } = sidecar.runtime;
  const now = environment.now();
  for (const later of [0, 10_000, 20_000]) connections.sweep(now + later);
  return said;
}

async function begin(
  harness: Harness,
  words: string | Buffer,
): Promise<{
  readonly sidecar: Sidecar;
  readonly response: ServerResponse;
  readonly client: Socket;
}> {
  const asked = Promise.withResolvers<ServerResponse>();
  const app = await harness.app((_, response) => asked.resolve(response));
  const { port, sidecar } = await harness.toPorts([app]);
  const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  await once(client, "connect");
  harness.atEnd(() => client.destroy());
  client.pause();
  client.write(words);
  return { sidecar, response: await asked.promise, client };
}

describe("a client that is slow to read", () => {
  test("the last answer of its connection gets all of it", async () => {
    await using harness = new Harness();
    const ask = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    const { sidecar, response, client } = await begin(harness, ask);
    let text = "";
    client.on("data", (bytes) => {
      text += bytes.toString("latin1");
    });
    client.pause();
    const said = await answerAll(sidecar, response, client);
    const ended = once(client, "end");
    client.resume();
    await ended;
    assert(text.endsWith("\r\n0\r\n\r\n"), "it was cut off");
    assert.equal(text.split("x").length - 1, said);
  });

  test("the last answers of HTTP/2 gets all of them", async () => {
    await using harness = new Harness();
    const { sidecar, response, client } = await begin(
      harness,
      Buffer.concat([
        Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        hexFrame(4, 0, 0, "00047fffffff"), // windows as wide as can be
        hexFrame(8, 0, 0, "7fff0000"),
        hexFrame(1, 5, 1, "828684410161"),
      ]),
    );
    const frames = readFrames(client);
    client.pause();
    client.end();
    const said = await answerAll(sidecar, response, client);
    client.resume();
    await frames.until(({ type, flags }) => type === 0 && (flags & 1) === 1);
    const data = frames.seen.filter(({ type }) => type === 0);
    assert.equal(
      data.reduce((sum, { payload }) => sum + payload.length, 0),
      said,
    );
  });
});
