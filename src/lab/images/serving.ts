/**
 * What every stand-in has in common: an HTTP server that answers JSON, forwards the headers that belong to one
 * request across services, and stops the way a well-behaved service does.
 *
 * On SIGTERM it goes on answering for a moment, because clients learn of its end a little later than it does; answers
 * then carry `Connection: close`. Stand-ins are separate programs: they import nothing of Heddle.
 */

import * as http from "node:http";
import type { Server } from "node:net";
import { hostname } from "node:os";

export interface Answer {
  readonly status?: number;
  readonly headers?: http.OutgoingHttpHeaders;
  /** Text as it is, anything else as JSON. */
  readonly body: unknown;
}

export type Handler = (
  request: http.IncomingMessage,
  url: URL,
  body: string,
) => Answer | Promise<Answer>;

/** The pod's name: what `hostname` says inside it. */
export const podName: string = hostname();

const drainMs = 500; // how long news of a pod's end may take to reach the proxies of its clients, with a wide margin
let draining = false;

/** Serves on every port; requests run concurrently. */
export function serveHttp(ports: readonly number[], handler: Handler): void {
  for (const port of ports) {
    const server = http.createServer(async (request, response) => {
      try {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk);
        const url = new URL(request.url ?? "/", `http://${request.headers.host ?? "localhost"}`);
        send(response, await handler(request, url, Buffer.concat(chunks).toString()));
      } catch (error) {
        send(response, { status: 500, body: { error: String(error), pod: podName } });
      }
    });
    // Longer than the idle timeout of a proxy before it: who closes first must not be the server, or requests race it.
    server.keepAliveTimeout = 3_600_000;
    server.listen(port);
    stopGracefully(server, () => server.closeAllConnections());
  }
}

function send(response: http.ServerResponse, answer: Answer): void {
  if (response.destroyed) return;
  const isText = typeof answer.body === "string";
  const text = isText ? String(answer.body) : `${JSON.stringify(answer.body)}\n`;
  response.writeHead(answer.status ?? 200, {
    "content-type": isText ? "text/plain" : "application/json",
    "content-length": Buffer.byteLength(text),
    ...(draining ? { connection: "close" } : {}),
    ...answer.headers,
  });
  response.end(text);
}

/** Ends the process after SIGTERM: first lets clients find out, then finishes what is in flight. */
export function stopGracefully(server: Server, closeRest: () => void): void {
  process.once("SIGTERM", () => {
    draining = true;
    setTimeout(() => {
      server.close(() => process.exit(0));
      setTimeout(closeRest, drainMs).unref();
    }, drainMs);
  });
}

const forwarded = [
  "x-request-id",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
  "b3",
  "traceparent",
  "tracestate",
  "end-user",
  "user-agent",
  "cookie",
  "authorization",
];

/** The headers that a service must hand on, so that traces join up and routing by user reaches every hop. */
export function forwardedHeaders(request: http.IncomingMessage): http.OutgoingHttpHeaders {
  const headers: http.OutgoingHttpHeaders = {};
  for (const name of forwarded) {
    const value = request.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

const agent = new http.Agent({ keepAlive: true });

export interface UpstreamAnswer {
  readonly url: string;
  /** 0 when there was no answer. */
  readonly status: number;
  readonly body: unknown;
}

/** One request to another service; a failure is an answer with status 0 and the reason as its body. */
export function callHttp(
  method: string,
  url: string,
  headers: http.OutgoingHttpHeaders,
  timeoutMs = 10_000,
): Promise<UpstreamAnswer> {
  return new Promise((resolve) => {
    const request = http.request(url, { method, headers, agent, timeout: timeoutMs });
    request.once("timeout", () => request.destroy(new Error(`no answer after ${timeoutMs} ms`)));
    request.once("error", (error) => resolve({ url, status: 0, body: error.message }));
    request.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", (error) => resolve({ url, status: 0, body: error.message }));
      response.once("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ url, status: response.statusCode ?? 0, body: jsonOr(text) });
      });
    });
    request.end();
  });
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
