import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type ClientRequest, get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { isRecord } from "../../base/json.ts";
import { createLog } from "../../base/log.ts";
import { seededRandom } from "../../base/random.ts";
import { Secret } from "../../base/secret.ts";
import { edge, report } from "../../core/traffic/testdata.ts";
import type { TappedRequest } from "../../model/observation.ts";
import { type HttpTransport, httpTransport } from "../../rpc/http-transport.ts";
import { startServer } from "../main.ts";
import { noXds } from "../testdata/no-xds.ts";
import { wallClock } from "../testdata/wall-clock.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-observe-"));
const stop = new AbortController();
const running = await startServer(
  { dataDir: folder, listen: { host: "127.0.0.1", apiPort: 0, xdsPort: 0, metricsPort: 0 } },
  {
    clock: wallClock,
    random: seededRandom(1),
    log: createLog((line) => process.stderr.write(`${line}\n`), Date.now, "error"),
    startXdsServer: noXds,
  },
  stop.signal,
);
const admin = httpTransport({ kind: "socket", path: running.adminSocket });
const nodes = await Promise.all(["node-1", "node-2"].map(transportOf));
after(async () => {
  for (const transport of [admin, ...nodes]) transport.close();
  stop.abort();
  await running.closed;
  rmSync(folder, { recursive: true });
});

/** As the agent of a node: registered, with its token. */
async function transportOf(node: string): Promise<HttpTransport> {
  const path = "/heddle/v1/node-tokens";
  const { body } = await admin.send({ method: "POST", path, body: { node } });
  const { token, roots } = body as { readonly token: string; readonly roots: string };
  const url = `https://127.0.0.1:${running.apiPort}`;
  const transport = httpTransport({ kind: "https", url, token: new Secret(token), roots });
  const object = { apiVersion: "v1", kind: "Node", metadata: { name: node } };
  await transport.send({ method: "POST", path: "/api/v1/nodes", body: object });
  return transport;
}

async function send(index: number, body: unknown): Promise<{ code: number; text: string }> {
  const transport = nodes[index];
  assert.ok(transport !== undefined);
  const answer = await transport.send({ method: "POST", path: "/heddle/v1/report", body });
  return { code: answer.code, text: JSON.stringify(answer.body) };
}

async function rates(): Promise<Record<string, number>> {
  const { body } = await admin.send({ method: "GET", path: "/heddle/v1/graph" });
  assert.ok(isRecord(body) && Array.isArray(body["edges"]));
  return Object.fromEntries(body["edges"].map((each) => [each.id, each.signals.requestsPerSecond]));
}

/** The text of an endless answer, as it comes. */
async function follow(path: string): Promise<{
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
  until(isEnough: (text: string) => boolean): Promise<string>;
}> {
  const request = get({ socketPath: running.adminSocket, agent: false, path });
  request.on("error", () => undefined);
  const [response]: [IncomingMessage] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  response.setEncoding("utf8").on("error", () => undefined);
  response.on("data", (more: string) => {
    text += more;
  });
  return {
    request,
    response,
    async until(isEnough) {
      while (!isEnough(text)) await once(response, "data");
      return text;
    },
  };
}

describe("a report", () => {
  test("is seen in the graph, from each node its own", async () => {
    const now = Date.now();
    await send(0, report("node-1", now, { edges: [edge("shop/web", "shop/cart", 5)] }));
    await send(1, report("node-2", now, { edges: [edge("shop/web", "shop/cart", 3)] }));
    assert.equal((await rates())["shop/web shop/cart http"], 8);
    const { body } = await admin.send({ method: "GET", path: "/heddle/v1/nodes" });
    assert.match(JSON.stringify(body), /"name":"node-1".*"reportedAt":\d+/);
  });

  test("for another node is refused, and so is the administrator's", async () => {
    const forged = report("node-2", Date.now(), { edges: [edge("shop/web", "shop/forged", 1)] });
    const { code, text } = await send(0, forged);
    assert.equal(code, 403);
    assert.match(text, /node node-1 may not report for node-2/);
    const { code: adminCode } = await admin.send({
      method: "POST",
      path: "/heddle/v1/report",
      body: forged,
    });
    assert.equal(adminCode, 404);
    assert.equal((await rates())["shop/web shop/forged http"], undefined);
  });

  test("that is wrong in one place changes nothing, and the refusal names the place", async () => {
    const now = Date.now();
    const edges = [edge("shop/web", "shop/half", 5), edge("shop/web", "shop/half", -1)];
    const { code, text } = await send(0, report("node-1", now, { edges }));
    assert.equal(code, 400);
    assert.match(text, /report: edges\[1\]\.codes\.200: want a number of at least 0, got -1/);
    assert.equal((await send(0, "rubbish")).code, 400);
    assert.equal((await rates())["shop/web shop/half http"], undefined);
    assert.equal((await send(0, report("node-1", Date.now()))).code, 200);
  });

  test("may not be sent, nor anything seen, without the right to", async () => {
    const [first] = nodes;
    for (const path of ["graph", "nodes", "pods", "stream", "tap", "services/shop/cart"]) {
      const answer = await first?.send({ method: "GET", path: `/heddle/v1/${path}` });
      assert.equal(answer?.code, 403, path);
    }
  });
});

describe("a stream", () => {
  test("tells what is known at once, and each report soon", async () => {
    const stream = await follow("/heddle/v1/stream?seconds=5");
    assert.equal(stream.response.headers["content-type"], "text/event-stream");
    await stream.until((text) => /^event: graph\ndata: \{.*\}\n\n/.test(text));
    await send(0, report("node-1", Date.now(), { edges: [edge("shop/web", "shop/new", 5)] }));
    const text = await stream.until((all) => all.includes("shop/new"));
    assert.match(text, /"seconds":5/);
    stream.request.destroy();
  });

  test("of a question that makes no sense is refused in words", async () => {
    const { code, body } = await admin.send({ method: "GET", path: "/heddle/v1/stream?seconds=x" });
    assert.equal(code, 400);
    assert.match(JSON.stringify(body), /seconds: want a whole number from 1 to 3600/);
  });
});

describe("a tap", () => {
  const request: TappedRequest = {
    at: 1,
    reporter: "source",
    source: "shop/web",
    destination: "shop/cart",
    pod: "shop/web-1",
    method: "GET",
    path: "/x",
    authority: "cart",
    status: 200,
    flag: "-",
    durationMs: 1.5,
    mtls: true,
  };

  test("is ordered with the answers, on when every node serves it, and over with its client", async () => {
    const now = Date.now();
    await send(0, report("node-1", now));
    await send(1, report("node-2", now));
    const tap = await follow("/heddle/v1/tap?method=GET&path=/x");
    const ordered = await send(0, report("node-1", now));
    const id = /"id":"([^"]+)"/.exec(ordered.text)?.[1] ?? "";
    assert.match(ordered.text, /"filter":\{"method":"GET","path":"\/x"\}/);
    const batch = (requests: TappedRequest[], leftOut = 0) => ({
      taps: [{ tap: id, requests, leftOut }],
    });
    await send(0, report("node-1", now, batch([request])));
    await send(1, report("node-2", now, batch([], 7)));
    const text = await tap.until((all) => all.includes("left-out"));
    assert.deepEqual(
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
      [
        { kind: "request", request },
        { kind: "on", nodes: 2 },
        { kind: "left-out", count: 7 },
      ],
    );
    tap.request.destroy();
    let answer = "";
    do answer = (await send(0, report("node-1", now, batch([request])))).text;
    while (answer.includes(id));
    assert.equal(answer, '{"taps":[],"checks":[]}');
  });

  test("of nobody, or for a status that is none, is refused in words", async () => {
    for (const [query, problem] of [
      ["target=nobody", /there is no Service or pod \\"nobody\\"/],
      ["status=teapot", /status: want a code such as 503, or 5xx/],
      ["method=get", /method: want a word in capitals/],
      [`path=${"x".repeat(3_000)}`, /path: want a text/],
    ] as const) {
      const { code, body } = await admin.send({ method: "GET", path: `/heddle/v1/tap?${query}` });
      assert.ok(code === 400 || code === 404, query);
      assert.match(JSON.stringify(body), problem);
    }
  });
});
