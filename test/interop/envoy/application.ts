/**
 * The application behind both proxies: it answers what it was sent, as one text of lines, so that comparing answers also
 * compares requests. The field `x-do` asks for something else than 200: words with commas between them.
 *
 *   status=503     that status                 reset          hangs up without an answer
 *   fail=2         503 for the first two       delay=300      waits so many milliseconds first
 *   add=name:value a field of the answer       early          an interim answer (103) first
 *   trailers       the answer ends with them   empty          no body
 *   call           answers as a call of gRPC   call=9         which fails so, without a message
 *
 * HTTP/1.1 and HTTP/2 on two ports. What was counted for `fail` is forgotten with `begin`.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { framed } from "../../../src/proxy/testing/grpc-web.ts";
import type { Harness } from "../../../src/proxy/testing/harness.ts";

export interface Application {
  readonly http1: number;
  readonly http2: number;
  /** A new case: nothing has failed yet. */
  begin(): void;
}

type Incoming = IncomingMessage | Http2ServerRequest;
type Outgoing = ServerResponse | Http2ServerResponse;

export async function startApplication(harness: Harness): Promise<Application> {
  let failures = 0;
  const serve = async (request: Incoming, response: Outgoing): Promise<void> => {
    const wishes = wishesOf(request);
    if (wishes.has("reset")) {
      request.socket.destroy();
      return;
    }
    await sleep(Number(wishes.get("delay") ?? 0));
    const seen = await describe(request);
    const hasFailed = failures < Number(wishes.get("fail") ?? 0);
    if (hasFailed) failures++;
    response.statusCode = hasFailed ? 503 : Number(wishes.get("status") ?? 200);
    response.sendDate = false;
    const [name, value = ""] = (wishes.get("add") ?? "").split(":");
    if (name !== undefined && name !== "") response.setHeader(name, value);
    if (wishes.has("early")) response.writeEarlyHints({ link: "</style.css>; rel=preload" });
    answer(response, wishes, seen);
  };
  // A proxy that gave up takes its request back while it is being read.
  const handle = (request: Incoming, response: Outgoing) => {
    serve(request, response).catch(() => response.destroy());
  };
  const http1 = createServer({ requireHostHeader: false }, handle);
  http1.on("upgrade", (request: IncomingMessage, socket) => {
    socket.end(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello ${request.url}`,
    );
  });
  const http2 = createHttp2Server(handle);
  for (const server of [http1, http2]) {
    await once(server.listen(0, "127.0.0.1"), "listening");
    harness.atEnd(() => server.close());
  }
  return {
    http1: portOf(http1.address()),
    http2: portOf(http2.address()),
    begin: () => {
      failures = 0;
    },
  };
}

function answer(response: Outgoing, wishes: ReadonlyMap<string, string>, seen: string): void {
  const call = wishes.get("call");
  if (call !== undefined) {
    answerCall(response, call, seen);
    return;
  }
  if (wishes.has("trailers")) {
    response.setHeader("trailer", "x-checksum");
    response.addTrailers({ "x-checksum": "abc" });
  } else if (!wishes.has("open-ended")) {
    response.setHeader("content-length", wishes.has("empty") ? 0 : Buffer.byteLength(seen));
  }
  response.end(wishes.has("empty") ? "" : seen);
}

function answerCall(response: Outgoing, failure: string, seen: string): void {
  response.setHeader("content-type", "application/grpc");
  if (failure !== "") {
    response.setHeader("grpc-status", failure);
    response.setHeader("grpc-message", "no%20luck");
    response.end();
    return;
  }
  response.addTrailers({ "grpc-status": "0", "x-checksum": "abc" });
  response.end(framed(seen));
}

function wishesOf(request: Incoming): ReadonlyMap<string, string> {
  const text = request.headers["x-do"];
  const words = typeof text === "string" ? text.split(",") : [];
  return new Map(
    words.map((word): [string, string] => {
      const at = word.indexOf("=");
      return at < 0 ? [word, ""] : [word.slice(0, at), word.slice(at + 1)];
    }),
  );
}

/** One length whatever the request had, so that a field more is one difference and not two. */
const answerLength = 2_000;

/** One line for the request, one for each field in the order of their names, one for each trailer, and the body. */
async function describe(request: Incoming): Promise<string> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  return [
    `request: ${request.method} ${request.url} HTTP/${request.httpVersion}`,
    ...linesOf("field", request.rawHeaders),
    ...linesOf("trailer", request.rawTrailers),
    `body: ${body}`,
  ]
    .join("\n")
    .padEnd(answerLength, "\n");
}

function linesOf(what: string, raw: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    lines.push(`${what} ${raw[i]?.toLowerCase()}: ${raw[i + 1]}`);
  }
  return lines.sort((a, b) => {
    const [first, second] = [nameOf(a), nameOf(b)];
    return first < second ? -1 : first > second ? 1 : 0;
  });
}

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(": "));
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}
