/**
 * Answers and requests that two readers may cut in two ways, through both legs.
 *
 * An application that answers oddly must not make its client take one answer for another, and a client that asks oddly
 * must not make an application see what the sidecar did not. Behind each odd message comes a plain one, which would be
 * changed or missing where anybody had misread the first.
 *
 * Not here: thousands of mutated requests of HTTP/1.1 against real servers (test/interop/desync.test.ts).
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { Harness } from "../testing/harness.ts";
import { Http2Client } from "../testing/http2.ts";
import { malformed, oddRequests } from "../testing/odd-requests.ts";
import { RawHttp2Client } from "../testing/raw-http2.ts";

const evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEVIL";
const ok = "HTTP/1.1 200 OK\r\n";
const refused =
  "502 upstream connect error or disconnect/reset before headers. reset reason: protocol error";
const interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";

/** What a client of HTTP/1.1 reads, and what one of HTTP/2; where they differ. `broken`: cut off before its end. */
type Outcome = string | { readonly http1: string; readonly http2: string };
const broken: Outcome = { http1: "200 hi broken", http2: "reset with 2" };

const answers: readonly (readonly [why: string, method: string, sent: string, outcome: Outcome])[] =
  [
    ["HEAD, with a body", "HEAD", `${ok}content-length: ${evil.length}\r\n\r\n${evil}`, "200 "],
    [
      "HEAD, in chunks",
      "HEAD",
      `${ok}transfer-encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n`,
      "200 ",
    ],
    ["HEAD, with no length and no body", "HEAD", `${ok}\r\n`, "200 "],
    [
      "204 with a length and a body",
      "GET",
      `HTTP/1.1 204 No Content\r\ncontent-length: ${evil.length}\r\n\r\n${evil}`,
      "204 ",
    ],
    [
      "204 in chunks",
      "GET",
      "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      "204 ",
    ],
    [
      "304 with a body",
      "GET",
      `HTTP/1.1 304 Not Modified\r\ncontent-length: ${evil.length}\r\n\r\n${evil}`,
      "304 ",
    ],
    ["two answers for one request", "GET", `${ok}content-length: 2\r\n\r\nhi${evil}`, "200 hi"],
    ["a list of lengths", "GET", `${ok}content-length: 2, 2\r\n\r\nhi`, refused],
    [
      "two lengths",
      "GET",
      `${ok}content-length: 2\r\ncontent-length: 46\r\n\r\nhi${evil}`,
      refused,
    ],
    [
      "a length and chunks",
      "GET",
      `${ok}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
      refused,
    ],
    [
      "another coding below the chunks",
      "GET",
      `${ok}transfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
      refused,
    ],
    [
      "chunks twice",
      "GET",
      `${ok}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      refused,
    ],
    [
      "chunks in HTTP/1.0",
      "GET",
      "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
      refused,
    ],
    ["lines that end in LF alone", "GET", `${ok}x: y\ncontent-length: 2\r\n\r\nhi`, refused],
    [
      "a folded line",
      "GET",
      `${ok}x: y\r\n content-length: 4\r\ncontent-length: 2\r\n\r\nhi`,
      refused,
    ],
    ["a space before a colon", "GET", `${ok}content-length : 2\r\n\r\nhi`, refused],
    ["another version", "GET", `HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nhi`, refused],
    [
      "101 that nobody asked for",
      "GET",
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n${evil}`,
      refused,
    ],
    [
      "extensions of chunks with quotes",
      "GET",
      `${ok}transfer-encoding: chunked\r\n\r\n2;a="\\";b=0"\r\nhi\r\n0;c\r\n\r\n`,
      "200 hi",
    ],
    [
      "a space behind a chunk's size",
      "GET",
      `${ok}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0 \r\n\r\n`,
      refused,
    ],
    [
      "a folded trailer",
      "GET",
      `${ok}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n z\r\n\r\n`,
      refused,
    ],
    [
      "a trailer that would be a head's",
      "GET",
      `${ok}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nContent_Length: 4\r\n\r\n`,
      refused,
    ],
    ["an end before its length", "GET", `${ok}content-length: 3\r\n\r\nhi`, broken],
    [
      "a flood of interim answers",
      "GET",
      `${interim.repeat(200)}${ok}content-length: 2\r\n\r\nhi`,
      "200 hi",
    ],
    [
      "an interim answer that claims a body",
      "GET",
      `HTTP/1.1 103 Early Hints\r\ncontent-length: 45\r\n\r\n${ok}content-length: 2\r\n\r\nhi`,
      "200 hi",
    ],
    [
      "100 that was not waited for",
      "GET",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${ok}content-length: 2\r\n\r\nhi`,
      "200 hi",
    ],
    ["no length, to its end", "GET", `${ok}\r\nhi`, "200 hi"],
  ];

describe("an answer with", () => {
  for (const [why, method, sent, outcome] of answers) {
    const wanted = typeof outcome === "string" ? { http1: outcome, http2: outcome } : outcome;
    test(`${why} leaves the next one whole, in HTTP/1.1`, async () => {
      await using harness = new Harness();
      const { port } = await harness.toPorts([await harness.tcpApp(answering(sent))]);
      const client = await harness.raw(port);
      client.send(`${method} /odd HTTP/1.1\r\nhost: a\r\n\r\n`);
      client.send("GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
      const read = readAnswers(await client.untilEnd(), [method, "GET"]);
      const isBroken = wanted.http1.endsWith("broken");
      assert.deepEqual(read, isBroken ? [wanted.http1] : [wanted.http1, "200 next"]);
    });

    test(`${why} leaves the next one whole, in HTTP/2`, async () => {
      await using harness = new Harness();
      const { port } = await harness.toPorts([await harness.tcpApp(answering(sent))]);
      const client = await RawHttp2Client.connect(harness, port);
      assert.equal(await client.request({ method, path: "/odd" }), wanted.http2);
      assert.equal(await client.request({ path: "/next" }), "200 next");
    });
  }
});

describe("an answer of HTTP/1.1 without a body", () => {
  test("does not claim one in HTTP/2, nor what its Connection names", async () => {
    await using harness = new Harness();
    const early =
      "HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\nconnection: x-hop\r\nx-hop: 1\r\nx-end: 2\r\n\r\n";
    const sent = `${early}HTTP/1.1 204 No Content\r\ncontent-length: 5\r\ndate: then\r\n\r\n`;
    const { port } = await harness.toPorts([await harness.tcpApp(answering(sent))]);
    const { session } = new Http2Client(harness, port);
    const stream = session.request({ ":path": "/odd", ":authority": "a" });
    const interim: unknown[] = [];
    stream.on("headers", (fields) => interim.push(Object.entries(fields)));
    const [final] = await once(stream, "response");
    assert.deepEqual(interim, [Object.entries({ ":status": 103, "x-end": "2" })]);
    assert.deepEqual(Object.entries(final), Object.entries({ ":status": 204, date: "then" }));
  });

  test("does not claim one in HTTP/1.1, and is of that version", async () => {
    await using harness = new Harness();
    const early =
      "HTTP/1.0 103 Early Hints\r\ncontent-length: 5\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n";
    const sent = `${early}HTTP/1.1 204 No Content\r\ncontent-length: 5\r\ndate: then\r\n\r\n`;
    const { port } = await harness.toPorts([await harness.tcpApp(answering(sent))]);
    const client = await harness.raw(port);
    client.send("GET /odd HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    const wanted =
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\ndate: then\r\nconnection: close\r\n\r\n";
    assert.equal(await client.untilEnd(), wanted);
  });
});

/** Answers requests for /next plainly, and all others as it is told; ends where the answer has no other end. */
function answering(sent: string): (socket: Socket) => void {
  const isCut = sent.endsWith("\r\n\r\nhi") && !/content-length: 2\r\n/.test(sent);
  return (socket) => {
    let text = "";
    socket.on("end", () => socket.end());
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const isNext = text.startsWith("GET /next ");
        text = text.slice(end + 4);
        if (isNext) socket.write(`${ok}content-length: 4\r\n\r\nnext`);
        else if (isCut) socket.end(sent);
        else socket.write(sent);
      }
    });
  };
}

/** By RFC 9112 §6.3 and nothing else: `STATUS body` for each request that was sent, interim answers left out. */
function readAnswers(text: string, methods: readonly string[]): readonly string[] {
  const read: string[] = [];
  let rest = text.replace(/^(?:HTTP\/1\.1 1(?:.+\r\n)*\r\n)*/, "");
  for (const method of methods) {
    const head = /^HTTP\/1\.1 (\d{3}) .*\r\n((?:.+\r\n)*)\r\n/.exec(rest);
    if (head === null) break;
    const [whole, status = "", fields = ""] = head;
    const { body, end } = readBody(rest.slice(whole.length), fields, method, status);
    read.push(`${status} ${body}`);
    rest = rest.slice(whole.length + end);
  }
  return rest === "" ? read : [...read, `left over: ${rest}`];
}

function readBody(
  text: string,
  fields: string,
  method: string,
  status: string,
): { readonly body: string; readonly end: number } {
  if (method === "HEAD" || status === "204" || status === "304") return { body: "", end: 0 };
  const length = /^content-length: (\d+)\r\n/im.exec(fields)?.[1];
  if (length !== undefined) {
    const body = text.slice(0, Number(length));
    return { body: body.length < Number(length) ? `${body} broken` : body, end: body.length };
  }
  let body = "";
  let end = 0;
  for (;;) {
    const chunk = /^([0-9a-f]+)(?:;[^\r\n]*)?\r\n/i.exec(text.slice(end));
    if (chunk === null) return { body: `${body} broken`, end: text.length };
    const size = Number.parseInt(chunk[1] ?? "", 16);
    end += chunk[0].length + size + 2;
    if (size === 0) return { body, end };
    body += text.slice(end - size - 2, end - 2);
  }
}

describe("a request of HTTP/2 with", () => {
  test("a body longer or shorter than it says is broken off, and nobody answers for it", async () => {
    await using harness = new Harness();
    const got: string[] = [];
    const { port } = await harness.toPorts([await harness.tcpApp(recording(got))]);
    const client = await RawHttp2Client.connect(harness, port);
    for (const length of [1, 3]) {
      const sent = { method: "POST", lines: `content-length: ${length}\r\n`, body: "hi" };
      assert.equal(await client.request(sent), malformed);
    }
    assert.equal(await client.request({ path: "/next" }), "200 ok");
    assert.equal(got.at(-1), "GET /next HTTP/1.1|host: a");
  });

  for (const [why, sent, outcome, seen] of oddRequests) {
    test(why, async () => {
      await using harness = new Harness();
      const got: string[] = [];
      const { port } = await harness.toPorts([await harness.tcpApp(recording(got))]);
      const client = await RawHttp2Client.connect(harness, port);
      assert.equal(await client.request(sent), outcome);
      assert.equal(await client.request({ path: "/next" }), "200 ok");
      const others = got.filter((each) => !each.startsWith("GET /next "));
      assert.deepEqual(others, seen === "" ? [] : [seen]);
    });
  }
});

/** Writes requests down, head and body, as one line each without what the sidecar adds, and answers them. */
function recording(got: string[]): (socket: Socket) => void {
  return (socket) => {
    let text = "";
    socket.on("end", () => socket.end());
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1");
      const isWhole = /\r\ntransfer-encoding: chunked\r\n/.test(text)
        ? text.endsWith("0\r\n\r\n") || /\r\n0\r\n(?:.+\r\n)*\r\n$/.test(text)
        : text.includes("\r\n\r\n");
      if (!isWhole) return;
      const lines = text
        .split("\r\n")
        .filter((line) => line !== "" && !/^x-(?:request|forwarded|envoy)-/.test(line));
      got.push(lines.join("|"));
      text = "";
      socket.write(`${ok}content-length: 2\r\n\r\nok`);
    });
  };
}
