/**
 * Whatever bytes a client sends, a server behind us sees the requests that we saw, and no other.
 *
 * Thousands of hostile connections (desync/corpus.ts) go through one sidecar to each server. What the sidecar says it
 * forwarded (its access log) and what the server says it got must be the same requests, as often. Upstream connections
 * are kept and shared, so a server that misread where a request ends would see others changed or missing. A server that
 * answers 400 got something malformed from us: that fails, too.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Harness } from "../../src/proxy/testing/harness.ts";
import { Http2Client } from "../../src/proxy/testing/http2.ts";
import { malformed, oddRequests } from "../../src/proxy/testing/odd-requests.ts";
import { RawHttp2Client } from "../../src/proxy/testing/raw-http2.ts";
import {
  apacheBackend,
  type Backend,
  haproxyBackend,
  missingPrograms,
  nginxBackend,
  nodeBackend,
  type Seen,
} from "./desync/backends.ts";
import { type Case, corpus } from "./desync/corpus.ts";

const cases = corpus(2_000, 20_260_101);
const missing = missingPrograms();
const atOnce = 16;
const tunnels = 60;
/** After this long without a word nobody is waiting but for us: the case swallowed its follower. */
const silenceMs = 150;
const patienceMs = 10_000;
const shown = 20;

const commonMethods: ReadonlySet<string> = new Set(
  "GET HEAD POST PUT DELETE OPTIONS TRACE".split(" "),
);

interface Forwarded {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly upstream_host: string | null;
  readonly response_flags: string;
  readonly response_code: number;
}

const backends: readonly (() => Promise<Backend>)[] = [
  nodeBackend,
  nginxBackend,
  haproxyBackend,
  apacheBackend,
];

describe("a server behind the sidecar", {
  skip: missing.length > 0 ? `not installed: ${missing.join(", ")}` : false,
}, () => {
  for (const start of backends) {
    const name = start.name.replace("Backend", "");
    test(`${name} sees the requests that the sidecar saw, and no other`, async (context) => {
      await using harness = new Harness();
      await using backend = await start();
      const log: Forwarded[] = [];
      const { port } = await harness.toPorts([backend.port], {
        accessLog: (line) => log.push(JSON.parse(line)),
      });
      await sendAll(harness, port);
      await askForTunnels(harness, port);
      await askOddly(harness, port);
      const last = await harness.raw(port);
      await last.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").untilEnd();
      const seen = await backend.seen("/last");
      const forwarded = log.filter((one) => one.upstream_host !== null);
      context.diagnostic(
        `${name}: ${cases.length} connections, ${log.length} requests read, ${forwarded.length} forwarded, ${seen.length} seen`,
      );
      // Most are refused at once; those that get through must be many enough to mean something.
      assert(forwarded.length > 900, `only ${forwarded.length} were forwarded`);
      assert.deepEqual(differences(forwarded, seen).slice(0, shown), []);
      assert.deepEqual(seen.flatMap(oddFields).slice(0, shown), []);
    });
  }
});

/** WebSockets of HTTP/2 that no server opens, with requests in what is sent ahead. */
async function askForTunnels(harness: Harness, port: number): Promise<void> {
  const { session } = new Http2Client(harness, port);
  await once(session, "remoteSettings");
  for (let id = 0; id < tunnels; id++) {
    const stream = session.request(
      {
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":authority": "a",
        ":path": `/tunnel${id}`,
        ...(id % 2 === 0 ? {} : { "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==" }),
      },
      { endStream: false },
    );
    stream.on("error", () => {});
    stream.write("GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n");
    if (id % 3 === 0) stream.end();
    stream.resume();
    await once(stream, "close");
  }
}

/** What a client of HTTP/2 may get wrong. */
async function askOddly(harness: Harness, port: number): Promise<void> {
  const client = await RawHttp2Client.connect(harness, port);
  for (const [why, sent, outcome] of oddRequests) {
    const said = await client.request(sent);
    assert.equal(said === malformed, outcome === malformed, `${why}: ${said}`);
  }
}

async function sendAll(harness: Harness, port: number): Promise<void> {
  const queue = [...cases];
  const work = async () => {
    for (let one = queue.pop(); one !== undefined; one = queue.pop())
      await send(harness, port, one);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

/** Sends a case, and FIN when nothing more comes; the sidecar must come to an end with it. */
async function send(harness: Harness, port: number, { id, bytes }: Case): Promise<void> {
  const client = await harness.raw(port);
  const { socket } = client;
  socket.setTimeout(silenceMs, () => socket.end());
  socket.write(bytes);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    socket.destroy();
  }, patienceMs);
  await client.untilEnd();
  clearTimeout(timer);
  assert(!isLate, `case ${id} was left hanging`);
  socket.destroy();
}

/** Requests forwarded and not seen, or seen and not forwarded. What was cut off by the client may be either. */
function differences(forwarded: readonly Forwarded[], seen: readonly Seen[]): readonly string[] {
  const balance = new Map<string, { sure: number; unsure: number; seen: number }>();
  const entry = (key: string) => {
    const known = balance.get(key) ?? { sure: 0, unsure: 0, seen: 0 };
    balance.set(key, known);
    return known;
  };
  for (const one of forwarded) {
    // Servers may also have no answer for `OPTIONS *`: nginx does not log it as such.
    const isCommon = commonMethods.has(one.method) && one.path !== "*";
    const isWhole = one.response_flags === "-" && isCommon;
    entry(`${one.method} ${one.path} ${one.authority}`)[isWhole ? "sure" : "unsure"]++;
  }
  // Which methods there are is the server's business; that it answers 400 to others is no disagreement.
  let unknownMethods = forwarded.filter(
    ({ method, path }) => !commonMethods.has(method) || path === "*",
  ).length;
  const malformed: string[] = [];
  for (const one of seen) {
    const isNoMethod =
      one.target.includes("Invalid method") || one.method === "" || one.method === "<BADREQ>";
    if (one.status === 400 && isNoMethod && unknownMethods-- > 0) continue;
    const known = entry(`${one.method} ${one.target} ${one.host}`);
    known.seen++;
    const isOurs = known.sure + known.unsure > 0;
    if (one.status === 400 && (known.unsure === 0 || !isOurs))
      malformed.push(`400: ${JSON.stringify(one)}`);
  }
  const wrong = [...balance].flatMap(([key, { sure, unsure, seen }]) =>
    seen < sure || seen > sure + unsure
      ? [`${JSON.stringify(key)}: forwarded ${sure} to ${sure + unsure} times, seen ${seen}`]
      : [],
  );
  return [...malformed, ...wrong];
}

/** What no request of ours may carry, whatever the client sent. */
function oddFields({ target, fields }: Seen): readonly string[] {
  if (fields === undefined) return [];
  const values = (name: string) =>
    fields.flatMap(([given, value]) =>
      given.toLowerCase().replaceAll("_", "-") === name ? [value] : [],
    );
  const problems: string[] = [];
  const [lengths, encodings] = [values("content-length"), values("transfer-encoding")];
  if (lengths.length + encodings.length > 1) problems.push("framed twice");
  if (lengths.some((value) => !/^\d+$/.test(value))) problems.push(`length ${lengths}`);
  if (encodings.some((value) => value.toLowerCase() !== "chunked")) problems.push(`${encodings}`);
  if (values("host").length !== 1) problems.push(`${values("host").length} hosts`);
  for (const name of [
    "te",
    "keep-alive",
    "proxy-connection",
    "x-heddle-peer",
    "x-forwarded-client-cert",
  ]) {
    if (values(name).length > 0) problems.push(name);
  }
  const connections = values("connection").filter((value) => value !== "upgrade");
  if (connections.length > 0) problems.push(`connection ${connections}`);
  return problems.map((problem) => `${target}: ${problem}`);
}
