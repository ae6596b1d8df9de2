/** What a client of HTTP/2 gets from a sidecar: requests, bodies and their ends. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { constants } from "node:http2";
import { describe, test } from "node:test";
import { Harness, metric } from "../testing/harness.ts";
import { echo, Http2Client, http2App, toHttp2App } from "../testing/http2.ts";
import { RawHttp2Client } from "../testing/raw-http2.ts";

describe("a client of HTTP/2", () => {
  test("that leaves takes its requests along, whoever does not answer them", async () => {
    await using harness = new Harness();
    const gone = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const app = await harness.tcpApp((socket) => {
      socket.on("data", () => asked.resolve());
      socket.on("end", () => gone.resolve());
    });
    const { port, sidecar } = await toHttp2App(harness, app, undefined);
    const client = await RawHttp2Client.connect(harness, port);
    void client.request();
    await asked.promise;
    client.end();
    await gone.promise;
    assert.equal(sidecar.tables.clusters.get("app")?.load.activeRequests, 0);
  });

  test("is told that a tunnel is not to be had, as one of HTTP/1.1 is", async () => {
    await using harness = new Harness();
    const { port } = await toHttp2App(harness, await harness.deadPort(), undefined);
    const { headers } = await new Http2Client(harness, port).request({
      ":method": "CONNECT",
      ":authority": "cart:80",
      ":path": undefined,
      ":scheme": undefined,
    });
    assert.equal(headers[":status"], 405);
  });

  test("gets and sends bodies larger than any window, though both ends dawdle", async () => {
    await using harness = new Harness();
    const size = 6_000_000;
    const app = await http2App(harness, (stream) => {
      let received = 0;
      stream.on("data", (bytes: Buffer) => {
        received += bytes.length;
        stream.pause();
        setImmediate(() => stream.resume());
      });
      stream.on("end", () => {
        stream.respond({ "x-received": received });
        stream.end(Buffer.alloc(size, 120));
      });
    });
    const { port } = await toHttp2App(harness, app.port, "http/2");
    const client = new Http2Client(harness, port);
    const answer = await client.request({ ":method": "POST" }, Buffer.alloc(size, 121));
    assert.equal(answer.headers["x-received"], String(size));
    assert.equal(answer.body.length, size);
  });

  test("that reads nothing makes the sidecar hold a window of the answer, and no more", async () => {
    await using harness = new Harness();
    let written = 0;
    const app = await http2App(harness, (stream) => {
      stream.respond({});
      const more = () => {
        while (stream.writable && stream.write(Buffer.alloc(16_384))) written += 16_384;
        stream.once("drain", more);
      };
      more();
    });
    const { port, sidecar } = await toHttp2App(harness, app.port, "http/2");
    const client = new Http2Client(harness, port);
    const stream = client.session.request({ ":authority": "cart", ":path": "/" });
    stream.pause();
    await once(stream, "response");
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert(written < 2_000_000, `${written} bytes were taken from the application`);
    stream.close(constants.NGHTTP2_CANCEL);
    assert.equal(sidecar.runtime.connections.size, 1);
  });

  test("that gives up makes the application's stream end, too", async () => {
    await using harness = new Harness();
    const reset = Promise.withResolvers<number>();
    const app = await http2App(harness, (stream) => {
      stream.on("close", () => reset.resolve(stream.rstCode ?? 0));
      stream.respond({});
      stream.write("begun");
    });
    const { port, sidecar } = await toHttp2App(harness, app.port, "http/2");
    const stream = new Http2Client(harness, port).session.request({ ":authority": "cart" });
    await once(stream, "data");
    stream.close(constants.NGHTTP2_CANCEL);
    assert.equal(await reset.promise, constants.NGHTTP2_CANCEL);
    assert.equal(metric(sidecar, "istio_requests_total", { response_flags: "DC" }), 1);
  });

  test("learns that an answer broke off", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, (stream) => {
      stream.respond({});
      stream.write("begun", () => stream.destroy(new Error("broken")));
    });
    const { port } = await toHttp2App(harness, app.port, "http/2");
    await assert.rejects(new Http2Client(harness, port).request({}));
  });

  test("keeps its other streams when one is refused by the sidecar", async () => {
    await using harness = new Harness();
    const app = await http2App(harness, echo);
    const { port } = await toHttp2App(harness, app.port, "http/2");
    const client = new Http2Client(harness, port);
    const [, good] = await Promise.allSettled([
      client.request({
        ":method": "CONNECT",
        ":authority": "a:1",
        ":path": undefined,
        ":scheme": undefined,
      }),
      client.request({ ":method": "POST" }, "fine"),
    ]);
    assert.equal(good?.status, "fulfilled");
  });
});
