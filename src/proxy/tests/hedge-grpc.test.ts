/** Calls of gRPC that are hedged. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Metadata, status } from "@grpc/grpc-js";
import type { HedgePolicy } from "../../model/proxy-config.ts";
import { type EchoHandlers, grpcApp, grpcClient, service } from "../testing/grpc.ts";
import { Harness, metric } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const soon: HedgePolicy = { kind: "delay", delayMs: 20 };

/** A client of a sidecar that takes the first application first, then the second. */
async function calling(harness: Harness, apps: readonly EchoHandlers[], includesGrpc = true) {
  const ports = [];
  for (const app of apps) ports.push(await grpcApp(harness, app));
  const hedge: HedgePolicy = { ...soon, ...(includesGrpc ? { includesGrpc } : {}) };
  const { port, sidecar } = await harness.outbound(
    [virtualHost(["*"], [route(forward("app", { hedge }))])],
    {
      clusters: [cluster("app", { protocol: "http/2", balancer: { kind: "round-robin" } })],
      endpoints: [{ cluster: "app", endpoints: ports.map((each) => endpoint(each)) }],
    },
    { random: () => 0 },
  );
  const runtime = sidecar.tables.clusters.get("app");
  assert(runtime !== undefined);
  const client = grpcClient(harness, port);
  const ask = (message: string): Promise<string> =>
    new Promise((resolve) => {
      const { path, requestSerialize, responseDeserialize } = service.unary;
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        Buffer.from(message),
        (error, answer) => resolve(error === null ? String(answer) : status[error.code]),
      );
    });
  const idle = async () => {
    while (runtime.load.activeRequests + runtime.load.activeRetries > 0) await delay(2);
  };
  return { ask, runtime, idle, sidecar };
}

/** Takes its time, and tells of calls that are given up. */
const slow = (heard: string[], ms: number): EchoHandlers => ({
  unary: (call, answer) => {
    heard.push(`${call.request} ${call.metadata.get("x-envoy-attempt-count")}`);
    call.on("cancelled", () => heard.push("cancelled"));
    setTimeout(() => answer(null, Buffer.from("slow")), ms);
  },
});
const quick: EchoHandlers = {
  unary: (call, answer) => answer(null, Buffer.from(`quick ${call.request}`)),
};
const failing: EchoHandlers = {
  unary: (_, answer) => answer({ code: status.UNAVAILABLE }),
};

describe("a hedged call of gRPC", () => {
  test("is sent again where that is allowed, and the one that lost is cancelled", async () => {
    await using harness = new Harness();
    const heard: string[] = [];
    const { ask, runtime, idle } = await calling(harness, [slow(heard, 5_000), quick]);
    assert.equal(await ask("hello"), "quick hello");
    await idle();
    while (heard.length < 2) await delay(2);
    assert.deepEqual(heard, ["hello 1", "cancelled"]);
    assert.deepEqual(runtime.hedged, { sentTotal: 1, wonTotal: 1 });
  });

  test("is sent once where it is not", async () => {
    await using harness = new Harness();
    const heard: string[] = [];
    const { ask, runtime } = await calling(harness, [slow(heard, 80), quick], false);
    assert.equal(await ask("hello"), "slow");
    assert.deepEqual([runtime.hedged.sentTotal, heard[0]], [0, "hello 1"]);
  });

  test("is sent once where its message is too long to keep", async () => {
    await using harness = new Harness();
    const { ask, runtime } = await calling(harness, [slow([], 80), quick]);
    assert.equal(await ask("x".repeat(100_000)), "slow");
    assert.equal(runtime.hedged.sentTotal, 0);
  });

  test("waits for the first where the second fails", async () => {
    await using harness = new Harness();
    const { ask, runtime, idle } = await calling(harness, [slow([], 120), failing]);
    assert.equal(await ask("hello"), "slow");
    await idle();
    assert.deepEqual(runtime.hedged, { sentTotal: 1, wonTotal: 0 });
  });

  test("is answered by the first head, as gRPC has it, whatever its trailers say then", async () => {
    await using harness = new Harness();
    const late: EchoHandlers = {
      unary: (call, answer) => {
        call.sendMetadata(new Metadata());
        setTimeout(() => answer({ code: status.UNAVAILABLE }), 10);
      },
    };
    const { ask, runtime } = await calling(harness, [slow([], 5_000), late]);
    assert.match(await ask("hello"), /UNAVAILABLE/);
    assert.deepEqual(runtime.hedged, { sentTotal: 1, wonTotal: 1 });
  });

  test("is counted by the status that the second try's one head brings", async () => {
    await using harness = new Harness();
    const absent: EchoHandlers = { unary: (_, answer) => answer({ code: status.NOT_FOUND }) };
    const { ask, sidecar, idle } = await calling(harness, [slow([], 5_000), absent]);
    assert.equal(await ask("hello"), "NOT_FOUND");
    await idle();
    assert.equal(metric(sidecar, "istio_requests_total", { grpc_response_status: "5" }), 1);
  });

  test("is reported to the host of the second try once", async () => {
    await using harness = new Harness();
    const late: EchoHandlers = {
      unary: (call, answer) => {
        call.sendMetadata(new Metadata());
        setTimeout(() => answer({ code: status.UNAVAILABLE }), 10);
      },
    };
    const { ask, runtime, idle } = await calling(harness, [slow([], 5_000), late]);
    const reports: string[] = [];
    for (const [i, host] of runtime.hosts.entries()) {
      const report = host.report.bind(host);
      host.report = (status) => {
        reports.push(`${i} ${status}`);
        report(status);
      };
    }
    assert.equal(await ask("hello"), "UNAVAILABLE");
    await idle();
    assert.equal(reports.length, 1, reports.join());
  });

  test("that streams is not sent again while it does", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      stream.on("end", () => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" });
        stream.end("streamed");
      });
      stream.resume();
    });
    const { port, sidecar } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app", { hedge: { ...soon, includesGrpc: true } }))])],
      {
        clusters: [cluster("app", { protocol: "http/2" })],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app.port), endpoint(app.port)] }],
      },
    );
    const { session } = new Http2Client(harness, port);
    const call = session.request({
      ":method": "POST",
      ":authority": "cart",
      ":path": "/",
      "content-type": "application/grpc",
    });
    call.write("begun");
    await delay(80); // well over the delay
    call.end();
    let text = "";
    for await (const bytes of call) text += String(bytes);
    assert.equal(text, "streamed");
    assert.equal(sidecar.tables.clusters.get("app")?.hedged.sentTotal, 0);
  });
});
