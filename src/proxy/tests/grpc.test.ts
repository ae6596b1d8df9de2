/** Calls of gRPC: whole, streamed, cancelled, failed, and answered by the sidecar. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Client, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import type { Cluster, RetryPolicy, RouteAction } from "../../model/proxy-config.ts";
import { grpcReply, parseGrpcTimeout } from "../codec/http2/grpc.ts";
import type { Sidecar } from "../sidecar.ts";
import { type EchoHandlers, grpcApp, grpcClient, service } from "../testing/grpc.ts";
import { Harness, metric, request } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

interface Setting {
  readonly client: Client;
  readonly sidecar: Sidecar;
  readonly port: number;
}

type Forward = Partial<Extract<RouteAction, { kind: "forward" }>>;

async function through(
  harness: Harness,
  ports: readonly number[],
  action: Forward = {},
  more: Partial<Cluster> = {},
): Promise<Setting> {
  const made = await harness.outbound([virtualHost(["*"], [route(forward("app", action))])], {
    clusters: [cluster("app", { protocol: "http/2", ...more })],
    endpoints: [{ cluster: "app", endpoints: ports.map((port) => endpoint(port)) }],
  });
  return { ...made, client: grpcClient(harness, made.port) };
}

async function withApp(
  harness: Harness,
  handlers: EchoHandlers,
  action?: Forward,
): Promise<Setting> {
  return through(harness, [await grpcApp(harness, handlers)], action);
}

function unary(
  client: Client,
  message: string | Buffer,
  deadlineMs = 10_000,
  metadata = new Metadata(),
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = service.unary;
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.from(message),
      metadata,
      { deadline: Date.now() + deadlineMs },
      (error, answer) => {
        if (error === null) resolve(answer ?? Buffer.alloc(0));
        else reject(error);
      },
    );
  });
}

const refused = (code: status) => (error: ServiceError) => {
  assert.equal(status[error.code], status[code]);
  return true;
};

describe("a gRPC call through a sidecar", () => {
  test("of one message and one answer arrives whole, metadata and trailers with it", async () => {
    await using harness = new Harness();
    const { client, sidecar } = await withApp(harness, {
      unary: (call, answer) => {
        const trailer = new Metadata();
        trailer.set("x-trailer-bin", Buffer.from([0, 255]));
        answer(
          null,
          Buffer.concat([call.request, Buffer.from(String(call.metadata.get("x-a")))]),
          trailer,
        );
      },
    });
    const metadata = new Metadata();
    metadata.add("x-a", "1");
    metadata.add("x-a", "2");
    assert.equal((await unary(client, "hello ", 10_000, metadata)).toString(), "hello 1, 2");
    const labels = { request_protocol: "grpc", grpc_response_status: "0", response_code: "200" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
  });

  test("of eight megabytes each way arrives whole", async () => {
    await using harness = new Harness();
    const { client } = await withApp(harness, {
      unary: (call, answer) => answer(null, call.request),
    });
    const message = Buffer.alloc(8_000_000, 7);
    assert((await unary(client, message)).equals(message));
  });

  test("that streams both ways is not held back for its end", async () => {
    await using harness = new Harness();
    const { client } = await withApp(harness, {
      chat: (call) => {
        call.on("data", (message: Buffer) => call.write(Buffer.from(`re: ${message}`)));
        call.on("end", () => call.end());
      },
    });
    const { path, requestSerialize, responseDeserialize } = service.chat;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const heard: string[] = [];
    for (const word of ["one", "two", "three"]) {
      call.write(Buffer.from(word));
      heard.push(await new Promise((resolve) => call.once("data", (bytes) => resolve(`${bytes}`))));
    }
    call.end();
    const ended = await new Promise<number>((resolve) =>
      call.on("data", () => {}).on("status", ({ code }) => resolve(code)),
    );
    assert.deepEqual(heard, ["re: one", "re: two", "re: three"]);
    assert.equal(ended, status.OK);
  });

  test("uploads and downloads a thousand messages in order", async () => {
    await using harness = new Harness();
    const { client } = await withApp(harness, {
      upload: (call, answer) => {
        const parts: string[] = [];
        call.on("data", (message: Buffer) => parts.push(message.toString()));
        call.on("end", () => answer(null, Buffer.from(parts.join(","))));
      },
      download: (call) => {
        for (let i = 0; i < 1_000; i++) call.write(Buffer.from(`${i}`));
        call.end();
      },
    });
    const numbers = Array.from({ length: 1_000 }, (_, i) => String(i));
    const up = service.upload;
    const uploaded = await new Promise<string>((resolve, reject) => {
      const call = client.makeClientStreamRequest(
        up.path,
        up.requestSerialize,
        up.responseDeserialize,
        (error, answer) => (error === null ? resolve(String(answer)) : reject(error)),
      );
      for (const number of numbers) call.write(Buffer.from(number));
      call.end();
    });
    assert.equal(uploaded, numbers.join(","));
    const down = service.download;
    const downloaded: string[] = [];
    const call = client.makeServerStreamRequest(
      down.path,
      down.requestSerialize,
      down.responseDeserialize,
      Buffer.alloc(0),
    );
    for await (const message of call) downloaded.push(String(message));
    assert.deepEqual(downloaded, numbers);
  });

  test("that fails says how, in its metrics too", async () => {
    await using harness = new Harness();
    const { client, sidecar } = await withApp(harness, {
      unary: (_call, answer) => answer({ code: status.FAILED_PRECONDITION, details: "not ü now" }),
    });
    await assert.rejects(unary(client, ""), (error: ServiceError) => {
      assert.equal(error.details, "not ü now");
      return refused(status.FAILED_PRECONDITION)(error);
    });
    assert.equal(metric(sidecar, "istio_requests_total", { grpc_response_status: "9" }), 1);
  });

  test("ends at its deadline, and the application learns of it", async () => {
    await using harness = new Harness();
    const cancelled = Promise.withResolvers<string>();
    const { client } = await withApp(harness, {
      unary: (call) =>
        call.on("cancelled", () => cancelled.resolve(String(call.metadata.get("x-a")))),
    });
    await assert.rejects(unary(client, "", 200), refused(status.DEADLINE_EXCEEDED));
    await cancelled.promise;
  });

  test("ends by the deadline that it names, though its client does not end it", async () => {
    await using harness = new Harness();
    // Bare HTTP/2: an application of gRPC holds the deadline itself, and might be first.
    const app = await http2App(harness, () => {});
    const { port, sidecar } = await through(harness, [app.port]);
    const headers = { ":method": "POST", ":path": "/test.Echo/Unary", te: "trailers" };
    const client = new Http2Client(harness, port);
    const answer = await client.request(
      { ...headers, "content-type": "application/grpc", "grpc-timeout": "1S" },
      Buffer.alloc(5),
    );
    assert.equal(answer.headers["grpc-status"], String(status.DEADLINE_EXCEEDED));
    const labels = { grpc_response_status: "4", response_flags: "UT", response_code: "200" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
  });

  for (const [deadline, flow, expected] of [
    ["60S", "before its answer", status.UNAVAILABLE],
    ["60S", "in its answer", status.CANCELLED],
    ["1m", "before its answer", status.DEADLINE_EXCEEDED],
  ] as const) {
    test(`of ${deadline} that its application cancels ${flow} ends with ${status[expected]}`, async () => {
      await using harness = new Harness();
      const app = await cancellingApp(harness, flow === "in its answer");
      const { port } = await through(harness, [app]);
      const client = new Http2Client(harness, port);
      const answer = client.request(
        {
          ":method": "POST",
          "content-type": "application/grpc",
          "grpc-timeout": deadline,
        },
        Buffer.alloc(5),
      );
      if (flow === "in its answer") await assert.rejects(answer, /reset with 8/);
      else assert.equal((await answer).headers["grpc-status"], String(expected));
    });
  }

  test("that is cancelled is cancelled at the application", async () => {
    await using harness = new Harness();
    const events: string[] = [];
    const done = Promise.withResolvers<void>();
    const { client } = await withApp(harness, {
      chat: (call) => {
        call.on("data", () => call.write(Buffer.from("begun")));
        call.on("cancelled", () => {
          events.push("cancelled");
          done.resolve();
        });
      },
    });
    const { path, requestSerialize, responseDeserialize } = service.chat;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    call.on("error", () => {});
    call.write(Buffer.from("go"));
    await new Promise((resolve) => call.once("data", resolve));
    call.cancel();
    await done.promise;
    assert.deepEqual(events, ["cancelled"]);
  });
});

describe("a gRPC call that the sidecar answers itself", () => {
  test("is UNAVAILABLE where nobody is there", async () => {
    await using harness = new Harness();
    const { client, sidecar } = await through(harness, []);
    await assert.rejects(unary(client, ""), (error: ServiceError) => {
      assert.equal(error.details, "no healthy upstream");
      return refused(status.UNAVAILABLE)(error);
    });
    const labels = { response_flags: "UH", grpc_response_status: "14", response_code: "200" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
  });

  test("is UNAVAILABLE where connections are refused", async () => {
    await using harness = new Harness();
    const { client } = await through(harness, [await harness.deadPort()]);
    await assert.rejects(unary(client, ""), refused(status.UNAVAILABLE));
  });

  test("is UNIMPLEMENTED where no route is", async () => {
    await using harness = new Harness();
    const made = await harness.outbound([virtualHost(["nobody"], [])], {});
    await assert.rejects(unary(grpcClient(harness, made.port), ""), refused(status.UNIMPLEMENTED));
  });

  test("has the status that a fault gives it, and not UNKNOWN", async () => {
    await using harness = new Harness();
    const fault = { abort: { percent: 100, grpcStatus: status.RESOURCE_EXHAUSTED } };
    const { sidecar, port } = await harness.outbound(
      [virtualHost(["*"], [route(forward("nowhere"), { fault })])],
      {},
    );
    const client = grpcClient(harness, port);
    await assert.rejects(unary(client, ""), refused(status.RESOURCE_EXHAUSTED));
    const labels = { response_flags: "FI", grpc_response_status: "8", response_code: "200" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
    assert.equal((await request(port)).status, 429, "what that is to others");
  });

  test("says 403 as PERMISSION_DENIED, and its reason in what a field may hold", () => {
    assert.equal(grpcReply(403, "RBAC: access denied").status, String(status.PERMISSION_DENIED));
    assert.match(grpcReply(503, "50 % ü\n").lines, /grpc-message: 50 %25 %C3%BC%0A\r\n/);
  });
});

describe("retries of gRPC calls", () => {
  const policy = (...on: readonly string[]): RetryPolicy => ({
    attempts: 3,
    perTryTimeoutMs: 0,
    on,
    retriableStatusCodes: [],
    baseBackoffMs: 1,
    maxBackoffMs: 2,
  });

  for (const [name, code] of [
    ["unavailable", status.UNAVAILABLE],
    ["cancelled", status.CANCELLED],
    ["deadline-exceeded", status.DEADLINE_EXCEEDED],
    ["resource-exhausted", status.RESOURCE_EXHAUSTED],
    ["internal", status.INTERNAL],
  ] as const) {
    test(`on ${name} lead to an answer where one is to be had`, async () => {
      await using harness = new Harness();
      let calls = 0;
      const { client } = await withApp(
        harness,
        {
          unary: (call, answer) => {
            if (++calls < 3) answer({ code, details: "later" });
            else answer(null, call.request);
          },
        },
        { retry: policy(name) },
      );
      assert.equal(String(await unary(client, "again")), "again");
      assert.equal(calls, 3);
    });
  }

  test("are not made for a status that is not asked for", async () => {
    await using harness = new Harness();
    let calls = 0;
    const { client } = await withApp(
      harness,
      {
        unary: (_call, answer) => {
          calls++;
          answer({ code: status.INTERNAL });
        },
      },
      { retry: policy("unavailable") },
    );
    await assert.rejects(unary(client, ""), refused(status.INTERNAL));
    assert.equal(calls, 1);
  });

  test("eject an endpoint whose calls fail, as 5xx do", async () => {
    await using harness = new Harness();
    const bad = await grpcApp(harness, {
      unary: (_call, answer) => answer({ code: status.UNAVAILABLE }),
    });
    const good = await grpcApp(harness, {
      unary: (_call, answer) => answer(null, Buffer.from("good")),
    });
    const { client } = await through(
      harness,
      [bad, good],
      { retry: policy("unavailable") },
      {
        balancer: { kind: "round-robin" },
        outlierDetection: {
          consecutive5xx: 2,
          consecutiveGatewayErrors: 0,
          intervalMs: 1_000,
          baseEjectionMs: 60_000,
          maxEjectionPercent: 50,
        },
      },
    );
    for (let i = 0; i < 10; i++) assert.equal(String(await unary(client, "")), "good");
  });
});

describe("a gRPC timeout", () => {
  for (const [text, ms] of [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3_000],
    ["4m", 4],
    ["5000u", 5],
    ["6000000n", 6],
    ["99999999S", 99_999_999_000],
    ["100000000S", undefined],
    ["5", undefined],
    ["-1S", undefined],
    ["1s", undefined],
    ["", undefined],
  ] as const) {
    test(`of ${JSON.stringify(text)} is ${ms} ms`, () => {
      const parsed = parseGrpcTimeout(text);
      assert.equal(parsed === undefined ? undefined : Math.round(parsed), ms);
    });
  }
});

/** Resets the first stream with CANCEL, which Node's own server does not do to an answer that it has begun. */
function cancellingApp(harness: Harness, begins: boolean): Promise<number> {
  const frame = (type: number, flags: number, stream: number, payload: readonly number[]) =>
    Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream, ...payload]);
  const status200 = [0x88, 0x0f, 0x10, 16, ...Buffer.from("application/grpc")];
  const answer = [frame(1, 4, 1, status200), frame(0, 0, 1, [...Buffer.from("half")])];
  return harness.tcpApp((socket) => {
    let received = Buffer.alloc(0);
    let at = 24; // behind the preface
    socket.write(frame(4, 0, 0, []));
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      while (at + 9 <= received.length) {
        if (received[at + 3] === 1) {
          if (begins) for (const part of answer) socket.write(part);
          setTimeout(() => socket.write(frame(3, 0, 1, [0, 0, 0, 8])), 20);
        }
        at += 9 + received.readUIntBE(at, 3);
      }
    });
  });
}
