/** Calls of gRPC-Web that come through: framing, base64, streams, back-pressure. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Metadata, status } from "@grpc/grpc-js";
import type { Sidecar } from "../sidecar.ts";
import { type EchoHandlers, grpcApp } from "../testing/grpc.ts";
import {
  type Ask,
  askByHttp1,
  askByHttp2,
  contentOf,
  framed,
  plainOf,
  webSidecar,
} from "../testing/grpc-web.ts";
import { Harness, metric } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { forward, route } from "../testing/mesh.ts";

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

test("a call of gRPC-Web is hedged as one of gRPC", async () => {
  await using harness = new Harness();
  const slow = await grpcApp(harness, { unary: () => {} });
  const quick = await grpcApp(harness, { unary: (call, answer) => answer(null, call.request) });
  const hedge = { kind: "delay" as const, delayMs: 30, includesGrpc: true as const };
  const { port } = await webSidecar(harness, [slow, quick], [route(forward("app", { hedge }))], {
    app: { protocol: "http/2", balancer: { kind: "round-robin" } },
  });
  for (const ask of [askByHttp1, askByHttp1, askByHttp2, askByHttp2]) {
    const reply = await ask(port, {
      type: "application/grpc-web-text",
      body: [framed("hello").toString("base64")],
    });
    assert.deepEqual(contentOf(reply).messages, ["hello"]);
    assert.match(contentOf(reply).trailers ?? "", /grpc-status: 0/);
  }
});

test("trailers of a request go on with its call, in chunks too", async () => {
  await using harness = new Harness();
  const seen: unknown[] = [];
  const { port: app } = await http2App(harness, (stream) => {
    stream.resume();
    stream.on("trailers", (trailers) => seen.push(trailers["x-sum"]));
    stream.on("end", () => {
      const fields = { "content-type": "application/grpc", "grpc-status": "0" };
      stream.respond(fields, { endStream: true });
    });
  });
  const { port } = await webSidecar(harness, [app], [route(forward("app"))]);
  const client = await harness.raw(port);
  client.send(
    `${head("application/grpc-web")}transfer-encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\nx-sum: 7\r\n\r\n`,
  );
  await client.until((text) => text.includes("grpc-status: 0"));
  assert.deepEqual(seen, ["7"]);
});

describe("a client of gRPC-Web that does not read", () => {
  for (const type of ["application/grpc-web", "application/grpc-web-text"]) {
    test(`holds its application back: ${type}`, async () => {
      await using harness = new Harness();
      const message = framed(Buffer.alloc(64 * 1024, "x"));
      const messages = 640;
      let sent = 0;
      const { port: app } = await http2App(harness, (stream) => {
        stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        const more = () => {
          while (sent < messages) {
            sent++;
            if (stream.write(message)) continue;
            stream.once("drain", more);
            return;
          }
          stream.end();
        };
        more();
      });
      const { port, sidecar } = await webSidecar(harness, [app], [route(forward("app"))]);
      const client = await harness.raw(port);
      client.socket.pause();
      client.send(`${head(type)}content-length: 0\r\nconnection: close\r\n\r\n`);
      // The kernels' buffers fill up, then nothing moves any more.
      for (let before = -1; before !== sent || sent === 0; ) {
        before = sent;
        await sleep(200);
      }
      assert.ok(sent < messages / 2, `${sent} messages were taken without a reader`);
      const { overload } = sidecar.runtime.environment;
      overload.measure();
      assert.ok(overload.heldBytes < 2 ** 20, `${overload.heldBytes} bytes are held`);
      client.socket.resume();
      const answer = (await client.untilEnd()).split("\r\n\r\n")[1] ?? "";
      const body = Buffer.from(answer.replace(/\r\n[0-9a-f]*\r\n|^[0-9a-f]+\r\n/g, ""), "latin1");
      const content = contentOf({ headers: { "content-type": type }, body });
      assert.equal(content.messages.length, messages);
      assert.match(content.trailers ?? "", /grpc-status: 0/);
    });
  }
});

test("an application that does not read holds back its client of gRPC-Web", async () => {
  await using harness = new Harness();
  let arrived = 0;
  let go: () => void = () => {};
  const { port: app } = await http2App(harness, (stream) => {
    go = () => {
      stream.on("data", (bytes: Buffer) => {
        arrived += bytes.length;
      });
      stream.on("end", () => {
        stream.respond({ "content-type": "application/grpc", "grpc-status": "0" });
        stream.end();
      });
    };
  });
  const { port, sidecar } = await webSidecar(harness, [app], [route(forward("app"))]);
  const client = await harness.raw(port);
  const text = framed(Buffer.alloc(48 * 1024 - 5)).toString("base64");
  const pieces = 500;
  client.send(
    `${head("application/grpc-web-text")}content-length: ${text.length * pieces}\r\n\r\n`,
  );
  for (let i = 0; i < pieces; i++) client.send(text);
  const { overload } = sidecar.runtime.environment;
  for (let before = -1; before !== client.socket.writableLength; ) {
    before = client.socket.writableLength;
    await sleep(200);
  }
  assert.ok(client.socket.writableLength > 0, "the client was never held up");
  overload.measure();
  assert.ok(overload.heldBytes < 2 ** 20, `${overload.heldBytes} bytes are held`);
  go();
  await client.until((said) => said.includes("grpc-status: 0"));
  assert.equal(arrived, 48 * 1024 * pieces);
});

test("a call whose client of gRPC-Web has left is cancelled at its application", async () => {
  await using harness = new Harness();
  const cancelled = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const { port, sidecar } = await withApp(harness, {
    unary: (call) => {
      call.on("cancelled", cancelled.resolve);
      started.resolve();
    },
  });
  const client = await harness.raw(port);
  client.send(`${head("application/grpc-web")}content-length: 5\r\n\r\n\0\0\0\0\0`);
  await started.promise;
  client.socket.resetAndDestroy();
  await cancelled.promise;
  const labels = { request_protocol: "grpc", response_flags: "DC" };
  assert.equal(metric(sidecar, "istio_requests_total", labels), 1);
});

function head(type: string): string {
  return `POST /test.Echo/Unary HTTP/1.1\r\nhost: cart\r\ncontent-type: ${type}\r\n`;
}
