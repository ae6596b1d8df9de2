/** What a route's timeouts count from: the end of the request, as with Envoy. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Stream, connect } from "node:http2";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { Harness } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const timeoutMs = 150;
const head = "POST /upload HTTP/1.1\r\nhost: cart\r\ncontent-length: 6\r\n\r\n";
const answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const isAnswered = (text: string) => text.includes("\r\n\r\nok") || text.includes("timeout");

/** A sidecar before an application. Its timeouts go by a time that passes only where a test has it pass. */
async function toApp(
  harness: Harness,
  app: number,
  action: Parameters<typeof forward>[1],
  more: Parameters<typeof cluster>[1] = {},
) {
  let now = 0;
  const { port, sidecar } = await harness.outbound(
    [virtualHost(["*"], [route(forward("app", action))])],
    {
      clusters: [cluster("app", more)],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    },
    { now: () => now },
  );
  return {
    port,
    /** Its timers notice later, by themselves. */
    moveTime(ms: number): void {
      now += ms;
    },
    /** And its timers have noticed. */
    pass(ms: number): void {
      now += ms;
      sidecar.runtime.environment.wheel.turn();
    },
  };
}

/** Answers a request whose body ends with `done`, or nobody. */
async function uploads(harness: Harness, isSilent = false) {
  let [text, connections] = ["", 0];
  const port = await harness.tcpApp((socket) => {
    connections++;
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      if (text.endsWith("done") && !isSilent) socket.write(answer);
    });
  });
  /** Resolves when the request has come so far. */
  const heard = async (end: string) => {
    while (!text.endsWith(end)) await new Promise(setImmediate);
  };
  return { port, heard, connections: () => connections };
}

/** An application in a thread of its own: it can answer while this one stands still. */
async function elsewhere(harness: Harness) {
  const told = new Int32Array(new SharedArrayBuffer(8));
  const [isAsked, isAnswered] = [0, 1];
  const program = `
    const { parentPort, workerData: told } = require("node:worker_threads");
    const server = require("node:net").createServer((socket) => socket.on("data", () => {
      Atomics.store(told, ${isAsked}, 1);
      Atomics.wait(told, ${isAsked}, 1);
      socket.write(${JSON.stringify(answer)}, () => {
        Atomics.store(told, ${isAnswered}, 1);
        Atomics.notify(told, ${isAnswered});
      });
    }));
    server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
  `;
  const worker = new Worker(program, { eval: true, workerData: told });
  harness.atEnd(() => worker.terminate());
  const [port] = await once(worker, "message");
  return {
    port: port as number,
    async asked(): Promise<void> {
      while (Atomics.load(told, isAsked) === 0) await new Promise(setImmediate);
    },
    /** Stands still until the answer is on its way and each timer is due. */
    standStill(): void {
      Atomics.store(told, isAsked, 2);
      Atomics.notify(told, isAsked);
      Atomics.wait(told, isAnswered, 0);
      Atomics.wait(told, isAnswered, 1, 50);
    },
  };
}

describe("a route's timeout", () => {
  test("does not end an upload that takes longer than it", async () => {
    await using harness = new Harness();
    const app = await uploads(harness);
    const { port, pass } = await toApp(harness, app.port, { timeoutMs });
    const client = await harness.raw(port);
    client.send(`${head}up`);
    await app.heard("up");
    pass(timeoutMs * 2);
    client.send("done");
    assert.match(await client.until(isAnswered), /^HTTP\/1.1 200 /);
  });

  test("runs from the end of an upload on", async () => {
    await using harness = new Harness();
    const app = await uploads(harness, true);
    const { port, pass } = await toApp(harness, app.port, { timeoutMs });
    const client = await harness.raw(port);
    client.send(`${head}up`);
    await app.heard("up");
    pass(timeoutMs);
    client.send("done");
    await app.heard("done");
    pass(timeoutMs * 2);
    assert.match(await client.until(isAnswered), /^HTTP\/1.1 504 /);
  });

  test("does not end a conversation of gRPC whose caller has not said all", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.on("data", (bytes: Buffer) => stream.write(bytes));
    });
    const { port, pass } = await toApp(harness, app.port, { timeoutMs }, { protocol: "http/2" });
    const session = connect(`http://127.0.0.1:${port}`);
    harness.atEnd(() => session.destroy());
    const stream: ClientHttp2Stream = session.request({
      ":method": "POST",
      ":path": "/chat.Chat/Talk",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.write("one");
    await once(stream, "data");
    pass(timeoutMs * 2);
    stream.write("two");
    const [echoed] = await once(stream, "data");
    assert.equal(String(echoed), "two");
  });

  test("does not throw away an answer that came while the sidecar stood still", async () => {
    await using harness = new Harness();
    const app = await elsewhere(harness);
    const { port, moveTime } = await toApp(harness, app.port, { timeoutMs });
    const client = await harness.raw(port);
    client.send(`${head}all of`);
    await app.asked();
    app.standStill();
    moveTime(timeoutMs * 2);
    assert.match(await client.until(isAnswered), /^HTTP\/1.1 200 /);
  });
});

test("a try's timeout does not end one whose request is still on its way", async () => {
  await using harness = new Harness();
  const retry = {
    attempts: 1,
    perTryTimeoutMs: timeoutMs,
    on: ["5xx"],
    retriableStatusCodes: [],
    baseBackoffMs: 1,
    maxBackoffMs: 1,
  };
  const app = await uploads(harness);
  const { port, pass } = await toApp(harness, app.port, { retry });
  const client = await harness.raw(port);
  client.send(`${head}up`);
  await app.heard("up");
  pass(timeoutMs * 2);
  client.send("done");
  assert.match(await client.until(isAnswered), /^HTTP\/1.1 200 /);
  assert.equal(app.connections(), 1);
});
