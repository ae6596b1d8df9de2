/** What a client of gRPC-Web gets where its call is answered with what is none of gRPC's. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { status } from "@grpc/grpc-js";
import {
  askByHttp1,
  askByHttp2,
  framed,
  shopPageCors,
  type WebQuestion,
  webSidecar,
} from "../testing/grpc-web.ts";
import { Harness, metric } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { forward, route } from "../testing/mesh.ts";

const hello: WebQuestion = { body: [framed("hello")] };

describe("an answer that is none of gRPC's", () => {
  test("becomes a call's, with its beginning as the message", async () => {
    await using harness = new Harness();
    const { port: app } = await http2App(harness, (stream) => {
      stream.respond({ ":status": 503, "content-type": "text/html", "x-app": "1" });
      stream.end(`<h1>ü ${"x".repeat(1_000_000)}`);
    });
    const { port, sidecar } = await webSidecar(harness, [app], [route(forward("app"))]);
    for (const ask of [askByHttp1, askByHttp2]) {
      const { status: code, headers, body } = await ask(port, hello);
      assert.equal(code, 503);
      assert.equal(headers["content-type"], "application/grpc-web+proto");
      assert.equal(headers["x-app"], "1");
      assert.equal(headers["grpc-status"], "14");
      const message = decodeURIComponent(String(headers["grpc-message"]));
      assert.match(message, /^<h1>ü x+$/);
      assert.ok(message.length < 5_000);
      assert.equal(body.length, 0);
    }
    const labels = { grpc_response_status: "14", response_code: "503" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 2);
  });

  test("and breaks off is answered as a call all the same", async () => {
    await using harness = new Harness();
    const { port: app } = await http2App(harness, (stream) => {
      stream.respond({ ":status": 404, "content-type": "text/html" });
      stream.write("<h1>", () => stream.session?.destroy());
    });
    const { port, sidecar } = await webSidecar(
      harness,
      [app],
      [route(forward("app"), { cors: shopPageCors })],
    );
    for (const ask of [askByHttp1, askByHttp2]) {
      const { status: code, headers } = await ask(port, {
        ...hello,
        headers: { origin: "https://shop.test" },
      });
      assert.equal(code, 200);
      assert.equal(headers["content-type"], "application/grpc-web+proto");
      assert.equal(headers["grpc-status"], "14");
      assert.equal(headers["access-control-allow-origin"], "https://shop.test");
    }
    const labels = { grpc_response_status: "14", response_code: "200", response_flags: "UC" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 2);
  });

  test("and does not end in time is answered with DEADLINE_EXCEEDED", async () => {
    await using harness = new Harness();
    const { port: app } = await http2App(harness, (stream) => {
      stream.respond({ ":status": 404, "content-type": "text/html" });
      stream.write("<h1>");
    });
    const { port, sidecar } = await webSidecar(
      harness,
      [app],
      [route(forward("app", { timeoutMs: 50 }))],
    );
    for (const ask of [askByHttp1, askByHttp2]) {
      const { status: code, headers } = await ask(port, hello);
      assert.equal(code, 200);
      assert.equal(headers["grpc-status"], String(status.DEADLINE_EXCEEDED));
    }
    const labels = { grpc_response_status: "4", response_code: "200", response_flags: "UT" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 2);
  });

  test("and has no place for a call's fields is answered as a call, and is no client's fault", async () => {
    await using harness = new Harness();
    const { port: app } = await http2App(harness, (stream) => {
      const fields = Object.fromEntries(Array.from({ length: 98 }, (_, i) => [`x-${i}`, ""]));
      stream.respond({ ":status": 503, ...fields });
      stream.end("<h1>");
    });
    const { port, sidecar } = await webSidecar(harness, [app], [route(forward("app"))]);
    for (const ask of [askByHttp1, askByHttp2]) {
      const { status: code, headers } = await ask(port, hello);
      assert.equal(code, 200);
      assert.equal(headers["content-type"], "application/grpc-web+proto");
      assert.equal(headers["grpc-status"], "14");
    }
    const labels = { grpc_response_status: "14", response_code: "200", response_flags: "UPE" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 2);
  });

  test("of HTTP/1.1 in chunks, too", async () => {
    await using harness = new Harness();
    const app = await harness.app((request, response) => {
      request.resume();
      response.statusCode = 404;
      response.write("not ");
      response.end("here");
    });
    const { port } = await webSidecar(harness, [app], [route(forward("app"))], {
      app: {},
    });
    for (const ask of [askByHttp1, askByHttp2]) {
      const { status: code, headers } = await ask(port, hello);
      assert.equal(code, 404);
      assert.equal(headers["grpc-status"], "12");
      assert.equal(headers["grpc-message"], "not here");
    }
  });

  test("has one content-type, whatever its route says; so has one that is gRPC's", async () => {
    await using harness = new Harness();
    const { port: app } = await http2App(harness, (stream, { ":path": path }) => {
      stream.respond({
        ":status": path === "/other" ? 404 : 200,
        "content-type": path === "/other" ? "text/plain" : "application/grpc",
      });
      stream.end();
    });
    const responseHeaders = { set: [["Content-Type", "text/html"]], add: [], remove: [] } as const;
    const { port } = await webSidecar(harness, [app], [route(forward("app"), { responseHeaders })]);
    for (const path of ["/other", "/call"]) {
      const client = await harness.raw(port);
      client.send(
        `POST ${path} HTTP/1.1\r\nhost: cart\r\ncontent-type: application/grpc-web\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
      );
      assert.deepEqual((await client.untilEnd()).match(/^content-type: .*$/gm), [
        "content-type: application/grpc-web+proto",
      ]);
    }
  });
});
