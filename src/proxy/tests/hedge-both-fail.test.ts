/** Hedged requests of which both tries fail. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { End } from "../../wire/http2/testing.ts";
import { Harness } from "../testing/harness.ts";
import { Http2Client } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

test("a hedged request is retried once where both tries fail in one read", async () => {
  await using harness = new Harness();
  let asked = 0;
  const port0 = await harness.tcpApp((socket) => {
    const end = new End("server");
    socket.on("error", () => {});
    const flush = () => {
      const b = end.connection.sender.out.take();
      if (b.length) socket.write(b);
    };
    flush();
    let done = 0;
    let hasFailed = false;
    socket.on("data", async (bytes: Buffer) => {
      end.read(bytes);
      flush();
      asked = end.streams.length;
      if (!hasFailed && end.streams.length === 2) {
        hasFailed = true;
        done = 2;
        const [a, b] = end.streams;
        if (!a || !b) return;
        end.connection.sender.sendResponse(b, 503, "content-length: 0\r\n", true);
        end.connection.reset(a, 2);
        flush();
      }
      while (hasFailed && done < end.streams.length) {
        const s = end.streams[done++];
        setTimeout(() => {
          if (s) end.connection.sender.sendResponse(s, 200, "content-length: 0\r\n", true);
          flush();
        }, 150);
      }
    });
  });
  const dead = await harness.deadPort();
  const retry = {
    attempts: 3,
    perTryTimeoutMs: 0,
    on: ["reset", "5xx"],
    retriableStatusCodes: [],
    baseBackoffMs: 1,
    maxBackoffMs: 10,
  } as const;
  const { port, sidecar } = await harness.outbound(
    [virtualHost(["*"], [route(forward("app", { hedge: { kind: "delay", delayMs: 20 }, retry }))])],
    {
      clusters: [cluster("app", { protocol: "http/2" })],
      endpoints: [
        {
          cluster: "app",
          endpoints: [endpoint(port0), endpoint(dead, { isUnhealthy: true } as never)],
        },
      ],
    },
    { random: () => 0.5 },
  );
  const client = new Http2Client(harness, port);
  const { headers } = await client.request({});
  const load = sidecar.tables.clusters.get("app")?.load;
  assert(load !== undefined);
  assert.equal(headers[":status"], 200);
  while (load.activeRequests + load.activeRetries > 0) await delay(2);
  assert.deepEqual([asked, load.retriesTotal], [3, 1]);
});
