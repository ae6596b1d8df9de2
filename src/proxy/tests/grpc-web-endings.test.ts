/** What a client of gRPC-Web learns of an answer that breaks off. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerHttp2Stream } from "node:http2";
import { describe, test } from "node:test";
import {
  askByHttp1,
  askByHttp2,
  contentOf,
  framed,
  type WebQuestion,
  webSidecar,
} from "../testing/grpc-web.ts";
import { Harness, metric } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { forward, route } from "../testing/mesh.ts";

const hello: WebQuestion = { body: [framed("hello")] };
const begun = { ":status": 200, "content-type": "application/grpc" };

describe("a call of gRPC-Web", () => {
  for (const [form, type] of [
    ["bytes", "application/grpc-web+proto"],
    ["base64", "application/grpc-web-text"],
  ] as const) {
    test(`is told in ${form} that its answer breaks off, where no message is cut`, async () => {
      await using harness = new Harness();
      let breakOff = () => {};
      const { port: app } = await http2App(harness, (stream) => {
        breakOff = () => stream.session?.destroy();
        stream.respond(begun);
        stream.write(framed("one"));
      });
      const { port, sidecar } = await webSidecar(harness, [app], [route(forward("app"))]);
      const body = form === "bytes" ? [framed("hello")] : [framed("hello").toString("base64")];
      for (const ask of [askByHttp1, askByHttp2]) {
        const { messages, trailers } = contentOf(await ask(port, { type, body }, () => breakOff()));
        assert.deepEqual(messages, ["one"]);
        assert.match(trailers ?? "", /^grpc-status: ?14\r\ngrpc-message: ?upstream reset/);
      }
      const labels = { grpc_response_status: "14", response_flags: "UC" };
      assert.equal(metric(sidecar, "istio_requests_total", labels), 2);
    });
  }

  test("that breaks off half-way is no whole answer", async () => {
    await using harness = new Harness();
    const { port: app } = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(framed("one").subarray(0, 7), () => stream.session?.destroy());
    });
    const { port } = await webSidecar(harness, [app], [route(forward("app"))]);
    await assert.rejects(askByHttp1(port, hello));
    await assert.rejects(askByHttp2(port, hello));
  });

  /** The route's time begins with the request's end, which here comes after the beginning of the answer. */
  async function timedOut(harness: Harness, beginning: Buffer) {
    const { port: app } = await http2App(harness, (stream: ServerHttp2Stream) => {
      stream.respond(begun);
      stream.write(beginning);
    });
    const routes = [route(forward("app", { timeoutMs: 50 }))];
    const { port, sidecar } = await webSidecar(harness, [app], routes);
    const { session } = new Http2Client(harness, port);
    const stream = session.request({
      ":method": "POST",
      ":path": "/test.Echo/Unary",
      ":authority": "cart",
      "content-type": "application/grpc-web",
    });
    stream.on("error", () => {}); // told by the code
    const parts: Buffer[] = [];
    stream.on("data", (bytes: Buffer) => parts.push(bytes));
    const isClosed = once(stream, "close");
    stream.write(framed("hello").subarray(0, 3));
    await once(stream, "data");
    stream.end(framed("hello").subarray(3));
    await isClosed;
    return { code: stream.rstCode, body: Buffer.concat(parts), sidecar };
  }

  test("is told that there is no more time for the rest of its answer", async () => {
    await using harness = new Harness();
    const { code, body, sidecar } = await timedOut(harness, framed("one"));
    assert.equal(code, 0);
    const { messages, trailers } = contentOf({ headers: {}, body });
    assert.deepEqual(messages, ["one"]);
    assert.match(trailers ?? "", /^grpc-status: ?4\r\n/);
    const labels = { grpc_response_status: "4", response_flags: "UT" };
    assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
  });

  test("is cancelled where there is no more time for the rest of a message", async () => {
    await using harness = new Harness();
    const { code } = await timedOut(harness, framed("one").subarray(0, 7));
    assert.equal(code, 8);
  });
});
