/**
 * Google's client of gRPC-Web in a browser, from a page of another origin: through a sidecar to an application of grpc-js.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import type { Page } from "playwright-core";
import type { Rbac, RouteMatch } from "../../src/model/proxy-config.ts";
import { grpcApp } from "../../src/proxy/testing/grpc.ts";
import { webSidecar } from "../../src/proxy/testing/grpc-web.ts";
import { Harness } from "../../src/proxy/testing/harness.ts";
import { forward, route } from "../../src/proxy/testing/mesh.ts";
import { TestBrowser } from "../e2e/browser.ts";

const library = new URL("../../node_modules/grpc-web/index.esm.js", import.meta.url);

/** What a page asks, as text for it: it has no types of ours. */
const script = `
import * as web from "/grpc-web.js";
const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder().decode(bytes);
window.ask = (origin, format, path, word, headers) => new Promise((resolve) => {
  const kind = path.endsWith("Download") ? web.MethodType.SERVER_STREAMING : web.MethodType.UNARY;
  const method = new web.MethodDescriptor(path, kind, Uint8Array, Uint8Array, bytes, text);
  const stream = new web.GrpcWebClientBase({ format }).serverStreaming(
    origin + path, word, headers, method);
  const seen = { messages: [], trailers: {}, head: {} };
  const done = () => { resolve(seen); };
  stream.on("data", (message) => seen.messages.push(message));
  stream.on("metadata", (head) => { seen.head = head; });
  stream.on("status", ({ code, details, metadata }) => {
    Object.assign(seen, { code, details, trailers: metadata });
    if (code !== 0) done();
  });
  stream.on("end", done);
});
window.isReady = true;
`;

interface Seen {
  readonly messages: readonly string[];
  readonly code: number;
  readonly details: string;
  readonly head: Readonly<Record<string, string>>;
  readonly trailers: Readonly<Record<string, string>>;
}

const lost: RouteMatch = {
  path: { kind: "prefix", value: "/test.Lost/" },
  headers: [],
  queryParameters: [],
};

const denied: Rbac = {
  action: "deny",
  policies: [
    {
      name: "nobody",
      permissions: [{ kind: "path", match: { kind: "prefix", value: "/test.Secret/" } }],
      principals: [{ kind: "any" }],
    },
  ],
};

describe("Google's client of gRPC-Web, in a browser", () => {
  const harness = new Harness();
  let page: Page;
  let origin: string;

  before(async () => {
    const app = await grpcApp(harness, {
      unary: (call, answer) => {
        const word = call.request.toString();
        if (word === "fail") {
          answer({ code: status.FAILED_PRECONDITION, details: "100 % nö" });
          return;
        }
        const head = new Metadata();
        head.set("x-head", "seen");
        call.sendMetadata(head);
        const trailer = new Metadata();
        trailer.set("x-trailer", "last");
        answer(null, Buffer.from(`${word}, ${call.metadata.get("x-who")}`), trailer);
      },
      download: (call) => {
        for (let i = 0; i < 200; i++) call.write(Buffer.from(`${i} ${"x".repeat(i * 20)}`));
        call.end();
      },
    });
    const cors = {
      origins: [{ kind: "prefix" as const, value: "http://localhost:" }],
      methods: ["POST"],
      headers: ["content-type", "x-grpc-web", "x-user-agent", "x-who"],
      exposedHeaders: ["grpc-status", "grpc-message", "x-head"],
      allowsCredentials: false,
      forwardsUnmatchedPreflights: false,
    };
    const { port } = await webSidecar(
      harness,
      [app],
      [route(forward("nowhere"), { match: lost, cors }), route(forward("app"), { cors })],
      { rbac: [denied] },
    );
    origin = `http://127.0.0.1:${port}`;
    const browser = await TestBrowser.start();
    harness.atEnd(() => browser[Symbol.asyncDispose]());
    page = await browser.open(undefined, false);
    await page.goto(await servePage(harness));
    await page.waitForFunction("window.isReady === true");
  });
  after(() => harness[Symbol.asyncDispose]());

  function ask(format: string, path: string, word: string): Promise<Seen> {
    const words = [origin, format, path, word].map((one) => JSON.stringify(one)).join(", ");
    return page.evaluate<Seen>(`ask(${words}, { "x-who": "ann" })`);
  }

  for (const format of ["text", "binary"]) {
    test(`calls, and reads answer, head and trailers: ${format}`, async () => {
      const seen = await ask(format, "/test.Echo/Unary", "hello");
      assert.deepEqual(seen.messages, ["hello, ann"]);
      assert.equal(seen.head["x-head"], "seen");
      assert.equal(seen.code, status.OK);
      assert.equal(seen.trailers["x-trailer"], "last");
    });

    test(`reads why a call failed: ${format}`, async () => {
      const seen = await ask(format, "/test.Echo/Unary", "fail");
      assert.equal(seen.code, status.FAILED_PRECONDITION);
      assert.equal(seen.details, "100 % nö");
    });

    test(`reads why the sidecar refused a call: ${format}`, async () => {
      const lost = await ask(format, "/test.Lost/Unary", "hello");
      assert.equal(lost.code, status.UNAVAILABLE);
      const secret = await ask(format, "/test.Secret/Unary", "hello");
      // Authorization is outside of routes, whose permission this answer has not: the page may not read it.
      assert.notEqual(secret.code, status.OK);
    });
  }

  test("reads a stream of messages of all sizes in base64, wherever its pieces end", async () => {
    const { messages, code } = await ask("text", "/test.Echo/Download", "");
    assert.equal(code, status.OK);
    assert.deepEqual(
      messages,
      Array.from({ length: 200 }, (_, i) => `${i} ${"x".repeat(i * 20)}`),
    );
  });
});

/** Answers the page's address. */
async function servePage(harness: Harness): Promise<string> {
  const files: Readonly<Record<string, readonly [type: string, text: string]>> = {
    "/": ["text/html", '<!doctype html><script type="module" src="/page.js"></script>'],
    "/page.js": ["text/javascript", script],
    "/grpc-web.js": ["text/javascript", readFileSync(library, "utf8")],
  };
  const server = createServer((request, response) => {
    const [type, text] = files[request.url ?? ""] ?? ["text/plain", ""];
    response.writeHead(200, { "content-type": type }).end(text);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  harness.atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://localhost:${(server.address() as AddressInfo).port}/`;
}
