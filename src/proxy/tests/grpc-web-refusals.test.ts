/** What a client of gRPC-Web gets where a call does not come through. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { status } from "@grpc/grpc-js";
import type { Rbac, RetryPolicy } from "../../model/proxy-config.ts";
import { grpcApp } from "../testing/grpc.ts";
import {
  askByHttp1,
  askByHttp2,
  contentOf,
  framed,
  shopPageCors,
  type WebQuestion,
  webSidecar,
} from "../testing/grpc-web.ts";
import { Harness, metric } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { forward, route } from "../testing/mesh.ts";

const hello: WebQuestion = { body: [framed("hello")] };
const all: Rbac = {
  action: "deny",
  policies: [{ name: "all", permissions: [{ kind: "any" }], principals: [{ kind: "any" }] }],
};

describe("a call of gRPC-Web that the sidecar refuses", () => {
  const cases: readonly (readonly [
    name: string,
    expected: status,
    message: RegExp,
    routes: Parameters<typeof webSidecar>[2],
    more?: Parameters<typeof webSidecar>[3],
  ])[] = [
    ["by a policy", status.PERMISSION_DENIED, /RBAC/, [route(forward("app"))], { rbac: [all] }],
    ["without a route", status.UNIMPLEMENTED, /^$/, []],
    ["without a cluster", status.UNAVAILABLE, /^$/, [route(forward("missing"))]],
    ["without endpoints", status.UNAVAILABLE, /no healthy upstream/, [route(forward("app"))]],
    [
      "on purpose",
      status.ABORTED,
      /fault/,
      [route(forward("app"), { fault: { abort: { grpcStatus: 10, percent: 100 } } })],
    ],
    [
      "by an answer out of its configuration",
      status.UNIMPLEMENTED,
      /gone/,
      [route({ kind: "respond", status: 404, body: "gone" })],
    ],
  ];
  for (const [name, expected, message, routes, more] of cases) {
    for (const ask of [askByHttp1, askByHttp2]) {
      test(`${name} is told so in gRPC-Web (${ask.name})`, async () => {
        await using harness = new Harness();
        const { port, sidecar } = await webSidecar(harness, [], routes, more);
        const reply = await ask(port, hello);
        assert.equal(reply.status, 200);
        assert.equal(reply.headers["content-type"], "application/grpc-web+proto");
        assert.equal(reply.headers["grpc-status"], String(expected));
        assert.match(decodeURIComponent(String(reply.headers["grpc-message"] ?? "")), message);
        assert.equal(reply.body.length, 0);
        const labels = { request_protocol: "grpc", grpc_response_status: String(expected) };
        assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
      });
    }
  }

  test("may be read by the page that CORS lets read answers", async () => {
    await using harness = new Harness();
    const { port } = await webSidecar(harness, [], [route(forward("app"), { cors: shopPageCors })]);
    const { headers } = await askByHttp1(port, {
      ...hello,
      headers: { origin: "https://shop.test" },
    });
    assert.equal(headers["grpc-status"], "14");
    assert.equal(headers["access-control-allow-origin"], "https://shop.test");
    assert.equal(headers["access-control-expose-headers"], "grpc-status,grpc-message");
  });

  test("has one content-type, whatever its route says", async () => {
    await using harness = new Harness();
    const responseHeaders = { set: [["Content-Type", "text/html"]], add: [], remove: [] } as const;
    const { port } = await webSidecar(
      harness,
      [],
      [route({ kind: "respond", status: 404, body: "gone" }, { responseHeaders })],
    );
    const client = await harness.raw(port);
    client.send(
      "POST /a HTTP/1.1\r\nhost: cart\r\ncontent-type: application/grpc-web\r\ncontent-length: 0\r\n\r\n",
    );
    const said = await client.until((text) => text.endsWith("\r\n\r\n"));
    assert.deepEqual(said.match(/^content-type: .*$/gm), [
      "content-type: application/grpc-web+proto",
    ]);
  });

  test("leaves the connection of HTTP/1.1 to the next one", async () => {
    await using harness = new Harness();
    const { port } = await webSidecar(harness, [], [route(forward("app"))]);
    const client = await harness.raw(port);
    const request = `POST /a HTTP/1.1\r\nhost: cart\r\ncontent-type: application/grpc-web\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0`;
    client.send(request + request);
    const said = await client.until((text) => text.split("grpc-status: 14").length === 3);
    assert.equal(said.split("HTTP/1.1 200 OK\r\n").length, 3);
    assert.doesNotMatch(said, /connection: close|transfer-encoding/);
  });
});

describe("base64 that is none", () => {
  const type = "application/grpc-web-text";
  for (const [name, body] of [
    ["in the first bytes", ["!!!!"]],
    ["after some of the body", [framed("hello").toString("base64"), "?"]],
    ["cut short", [framed("hello").toString("base64"), "AAA"]],
  ] as const) {
    for (const ask of [askByHttp1, askByHttp2]) {
      test(`${name} is answered with INTERNAL (${ask.name})`, async () => {
        await using harness = new Harness();
        const app = await grpcApp(harness, { upload: (_call, answer) => answer(null) });
        const { port, sidecar } = await webSidecar(harness, [app], [route(forward("app"))]);
        const reply = await ask(port, { path: "/test.Echo/Upload", type, body });
        assert.equal(reply.headers["grpc-status"], String(status.INTERNAL));
        assert.match(String(reply.headers["grpc-message"]), /base64/);
        const labels = { grpc_response_status: "13", response_flags: "DPE" };
        assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
      });
    }
  }
});

describe("a call of gRPC-Web", () => {
  test("that its route has no more time for is told so", async () => {
    await using harness = new Harness();
    // Bare HTTP/2: an application of gRPC is told how long it has, and might be first.
    const app = await http2App(harness, () => {});
    const { port, sidecar } = await webSidecar(
      harness,
      [app.port],
      [route(forward("app", { timeoutMs: 50 }))],
    );
    const reply = await askByHttp1(port, hello);
    assert.equal(reply.headers["grpc-status"], String(status.DEADLINE_EXCEEDED));
    const labels = { grpc_response_status: "4", response_flags: "UT" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
  });

  test("that says itself how long it waits is not waited for longer", async () => {
    await using harness = new Harness();
    const app = await grpcApp(harness, { unary: () => {} });
    const { port } = await webSidecar(harness, [app], [route(forward("app"))]);
    const reply = await askByHttp2(port, { ...hello, headers: { "grpc-timeout": "50m" } });
    assert.equal(reply.headers["grpc-status"], String(status.DEADLINE_EXCEEDED));
  });

  test("is retried by its status of gRPC", async () => {
    await using harness = new Harness();
    let calls = 0;
    const app = await grpcApp(harness, {
      unary: (call, answer) => {
        if (++calls === 1) answer({ code: status.UNAVAILABLE });
        else answer(null, call.request);
      },
    });
    const retry: RetryPolicy = {
      attempts: 2,
      perTryTimeoutMs: 0,
      on: ["unavailable"],
      retriableStatusCodes: [],
      baseBackoffMs: 1,
      maxBackoffMs: 1,
    };
    const { port } = await webSidecar(harness, [app], [route(forward("app", { retry }))]);
    assert.deepEqual(contentOf(await askByHttp1(port, hello)).messages, ["hello"]);
    assert.equal(calls, 2);
  });

  test("is in the access log as it came", async () => {
    await using harness = new Harness();
    const lines: string[] = [];
    const app = await grpcApp(harness, { unary: (call, answer) => answer(null, call.request) });
    const options = { accessLog: (line: string) => lines.push(line) };
    const { port } = await webSidecar(harness, [app], [route(forward("app"))], { options });
    await askByHttp1(port, { ...hello, headers: { "content-length": "10" } });
    const line = JSON.parse(lines[0] ?? "");
    assert.equal(line.protocol, "HTTP/1.1");
    assert.equal(line.bytes_received, framed("hello").length);
    assert.equal(line.bytes_sent > framed("hello").length, true);
  });

  test("is one of gRPC to its application with a codec of any name", async () => {
    await using harness = new Harness();
    let seen: unknown;
    const { port: app } = await http2App(harness, (stream, headers) => {
      seen = [headers["content-type"], headers["te"], headers["accept-encoding"], headers["x-a"]];
      stream.respond({ ":status": 200, "content-type": "application/grpc+json" });
      stream.end(framed("{}"));
    });
    const { port } = await webSidecar(harness, [app], [route(forward("app"))]);
    const { headers } = await askByHttp1(port, {
      type: "application/grpc-web+json; charset=utf-8",
      headers: {
        "accept-encoding": "gzip",
        "x-a": "1",
        te: "gzip",
        connection: "te, x-b",
        "x-b": "",
      },
      body: [framed("{}")],
    });
    assert.deepEqual(seen, ["application/grpc+json", "trailers", undefined, "1"]);
    assert.equal(headers["content-type"], "application/grpc-web+json");
  });

  test("comes through with as many fields as any request may have", async () => {
    await using harness = new Harness();
    const app = await grpcApp(harness, { unary: (call, answer) => answer(null, call.request) });
    const { port, sidecar } = await webSidecar(harness, [app], [route(forward("app"))]);
    const rest = Array.from({ length: 97 }, (_, i) => [`x-${i}`, "1"] as const); // of a hundred
    const client = await harness.raw(port);
    client.send(
      "POST /test.Echo/Unary HTTP/1.1\r\nhost: cart\r\ncontent-type: application/grpc-web\r\n" +
        `content-length: 10\r\n${rest.map(([name]) => `${name}: 1\r\n`).join("")}\r\n` +
        framed("hello").toString("latin1"),
    );
    const said = await client.until((text) => /grpc-status|^HTTP\/1\.1 4/.test(text));
    assert.match(said, /^HTTP\/1\.1 200 /);
    const reply = await askByHttp2(port, { ...hello, headers: Object.fromEntries(rest) });
    assert.equal(reply.status, 200);
    assert.match(contentOf(reply).trailers ?? "", /grpc-status: ?0/);
    assert.equal(metric(sidecar, "istio_requests_total", { grpc_response_status: "0" }), 2);
  });

  test("is posted: other methods pass as they are", async () => {
    await using harness = new Harness();
    let type: unknown;
    const { port: app } = await http2App(harness, (stream, headers) => {
      type = headers["content-type"];
      stream.respond({ ":status": 204 });
      stream.end();
    });
    const { port } = await webSidecar(harness, [app], [route(forward("app"))]);
    const client = await harness.raw(port);
    client.send("HEAD / HTTP/1.1\r\nhost: cart\r\ncontent-type: application/grpc-web\r\n\r\n");
    await client.until((text) => text.includes("\r\n\r\n"));
    assert.equal(type, "application/grpc-web");
  });
});
