import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import type { Sidecar } from "./sidecar.ts";
import { type EchoHandlers, grpcApp } from "./testing/grpc.ts";
import {
  type Ask,
  askByHttp1,
  askByHttp2,
  contentOf,
  framed,
  plainOf,
  webSidecar,
} from "./testing/grpc-web.ts";
import { Harness, metric } from "./testing/harness.ts";
import { forward, route } from "./testing/mesh.ts";

const echo: EchoHandlers = {
  unary: (call, answer) => {
    const trailer = new Metadata();
    trailer.set("x-trailer", `${call.metadata.get("x-ask")}`);
    const head = new Metadata();
    head.set("x-head", "first");
    call.sendMetadata(head);
    answer(null, Buffer.concat([Buffer.from("echo "), call.request]), trailer);
  },
};

async function withApp(
  harness: Harness,
  handlers: EchoHandlers = echo,
): Promise<{ readonly sidecar: Sidecar; readonly port: number }> {
  return webSidecar(harness, [await grpcApp(harness, handlers)], [route(forward("app"))]);
}

const clients: readonly (readonly [name: string, ask: Ask])[] = [
  ["HTTP/1.1", askByHttp1],
  ["HTTP/2", askByHttp2],
];

for (const [name, ask] of clients) {
  describe(`a call of gRPC-Web in ${name}`, () => {
    test("is one of gRPC to its application, and its trailers are the last frame", async () => {
      await using harness = new Harness();
      const { port, sidecar } = await withApp(harness);
      const reply = await ask(port, { headers: { "x-ask": "me" }, body: [framed("hello")] });
      assert.equal(reply.status, 200);
      assert.equal(reply.headers["content-type"], "application/grpc-web+proto");
      assert.equal(reply.headers["x-head"], "first");
      const { messages, trailers = "" } = contentOf(reply);
      assert.deepEqual(messages, ["echo hello"]);
      assert.match(trailers, /^([a-z-]+: [^\r\n]*\r\n)+$/);
      assert.match(trailers, /^grpc-status: 0\r$/m);
      assert.match(trailers, /^x-trailer: me\r$/m);
      const labels = { request_protocol: "grpc", grpc_response_status: "0", response_code: "200" };
      assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
    });

    test("in base64 is read wherever it is cut and padded, and answered in base64", async () => {
      await using harness = new Harness();
      const { port } = await withApp(harness);
      const bytes = framed("hello");
      const pieces = [bytes.subarray(0, 4), bytes.subarray(4)].map((b) => b.toString("base64"));
      const body = [...pieces.join("")];
      const reply = await ask(port, { type: "application/grpc-web-text", body });
      assert.equal(reply.headers["content-type"], "application/grpc-web-text+proto");
      assert.match(reply.body.toString("latin1"), /^[A-Za-z0-9+/=]+$/);
      const { messages, trailers } = contentOf(reply);
      assert.deepEqual(messages, ["echo hello"]);
      assert.match(trailers ?? "", /grpc-status: 0/);
    });

    test("that fails before its first message is answered in the head", async () => {
      await using harness = new Harness();
      const { port, sidecar } = await withApp(harness, {
        unary: (_call, answer) => answer({ code: status.FAILED_PRECONDITION, details: "not now" }),
      });
      const reply = await ask(port, { body: [framed("")] });
      assert.equal(reply.status, 200);
      assert.equal(reply.headers["grpc-status"], "9");
      assert.equal(reply.headers["grpc-message"], "not%20now");
      assert.equal(reply.body.length, 0);
      const labels = { request_protocol: "grpc", grpc_response_status: "9" };
      assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
    });
  });
}

test("messages of a stream are read by clients of base64 before the next one is sent", async () => {
  await using harness = new Harness();
  let next: () => void = () => {};
  const { port } = await withApp(harness, {
    download: (call) => {
      const words = ["one", "two", "three"];
      next = () => {
        const word = words.shift();
        if (word === undefined) call.end();
        else call.write(Buffer.from(word));
      };
      next();
    },
  });
  let seen = "";
  const reply = await askByHttp1(
    port,
    {
      path: "/test.Echo/Download",
      type: "application/grpc-web-text",
      headers: { accept: "application/grpc-web-text" },
      body: [framed("").toString("base64")],
    },
    (bytes) => {
      seen += bytes.toString("latin1");
      assert.equal(seen.length % 4, 0);
      if (!plainOf(seen).includes("grpc-status")) next();
    },
  );
  assert.deepEqual(contentOf(reply).messages, ["one", "two", "three"]);
});
