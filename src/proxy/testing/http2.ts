/** Applications and clients of HTTP/2 for tests: Node's own, unencrypted, closed with the test. */

import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type SessionOptions,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Cluster, RouteAction } from "../../model/proxy-config.ts";
import type { Sidecar } from "../sidecar.ts";
import type { Harness } from "./harness.ts";
import { cluster, endpoint, forward, route, type TestSidecarOptions, virtualHost } from "./mesh.ts";

export interface Http2App {
  readonly port: number;
  /** Sessions that were ever opened. */
  readonly sessions: readonly ServerHttp2Session[];
  /** The connections below them, in the same order. */
  readonly sockets: readonly Socket[];
}

export async function http2App(
  harness: Harness,
  handle: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  settings: SessionOptions["settings"] = {},
): Promise<Http2App> {
  const server = createServer({ settings });
  const sessions: ServerHttp2Session[] = [];
  const sockets: Socket[] = [];
  server.on("connection", (socket: Socket) => sockets.push(socket));
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    handle(stream, headers);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  harness.atEnd(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  return { port: (server.address() as AddressInfo).port, sessions, sockets };
}

export interface Http2Answer {
  readonly headers: IncomingHttpHeaders & { readonly ":status"?: number };
  readonly trailers: IncomingHttpHeaders;
  readonly body: string;
}

export class Http2Client {
  readonly session: ClientHttp2Session;

  constructor(harness: Harness, port: number, options: SessionOptions = {}) {
    this.session = connect(`http://127.0.0.1:${port}`, options);
    this.session.on("error", () => {});
    harness.atEnd(() => this.session.destroy());
  }

  /** Resolves with the whole answer; rejects when the stream was reset. */
  request(headers: OutgoingHttpHeaders, body?: string | Buffer): Promise<Http2Answer> {
    return new Promise((resolve, reject) => {
      const stream = this.session.request(
        { ":authority": "cart", ":path": "/", ...headers },
        { endStream: body === undefined },
      );
      const parts: Buffer[] = [];
      let head: IncomingHttpHeaders = {};
      let trailers: IncomingHttpHeaders = {};
      stream.on("response", (received) => {
        head = received;
      });
      stream.on("trailers", (received) => {
        trailers = received;
      });
      stream.on("data", (bytes: Buffer) => parts.push(bytes));
      stream.on("error", reject);
      stream.on("close", () => {
        if (stream.rstCode === 0) {
          resolve({ headers: head, trailers, body: Buffer.concat(parts).toString("latin1") });
        } else reject(new Error(`reset with ${stream.rstCode}`));
      });
      if (body !== undefined) stream.end(body);
    });
  }
}

type Forward = Partial<Extract<RouteAction, { kind: "forward" }>>;

/** An outbound sidecar in front of one cluster that is spoken to in `protocol`. */
export function toHttp2App(
  harness: Harness,
  port: number,
  protocol: Cluster["protocol"],
  options: Partial<TestSidecarOptions> & { readonly action?: Forward } = {},
): Promise<{ readonly sidecar: Sidecar; readonly port: number }> {
  return harness.outbound(
    [virtualHost(["*"], [route(forward("app", options.action))])],
    {
      clusters: [cluster("app", protocol === undefined ? {} : { protocol })],
      endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
    },
    options,
  );
}

/** Gives the body back, and says what it was asked in `x-path` and `x-seen`. */
export function echo(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const parts: Buffer[] = [];
  stream.on("data", (bytes: Buffer) => parts.push(bytes));
  stream.on("end", () => {
    stream.respond({ "x-path": headers[":path"], "x-seen": JSON.stringify(headers) });
    stream.end(Buffer.concat(parts));
  });
}
