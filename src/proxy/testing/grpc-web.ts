/** Calls of gRPC-Web for tests, written and read by hand: every piece of an answer can be looked at. */

import { once } from "node:events";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:http2";
import type { Readable } from "node:stream";
import type { Cluster, Cors, Rbac, Route } from "../../model/proxy-config.ts";
import type { Sidecar } from "../sidecar.ts";
import type { Harness } from "./harness.ts";
import {
  cluster,
  endpoint,
  outbound,
  passthrough,
  type TestSidecarOptions,
  virtualHost,
} from "./mesh.ts";

/** For a route that a page of `https://shop.test` may call, and read why a call failed. */
export const shopPageCors: Cors = {
  origins: [{ kind: "exact", value: "https://shop.test" }],
  methods: ["POST"],
  headers: ["content-type"],
  exposedHeaders: ["grpc-status", "grpc-message"],
  forwardsUnmatchedPreflights: false,
};

export interface WebQuestion {
  readonly path?: string;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** As it is sent, in these pieces. */
  readonly body: readonly (string | Buffer)[];
}

export interface WebReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** As it came. */
  readonly body: Buffer;
}

export interface WebContent {
  readonly messages: readonly string[];
  /** Undefined: no frame of them. */
  readonly trailers: string | undefined;
}

/** A message, framed. */
export function framed(message: string | Buffer): Buffer {
  const bytes = Buffer.from(message);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** An outbound sidecar that takes gRPC-Web, whose cluster `app` has these ports. */
export async function webSidecar(
  harness: Harness,
  ports: readonly number[],
  routes: readonly Route[],
  more: {
    readonly app?: Partial<Cluster>;
    readonly rbac?: readonly Rbac[];
    readonly options?: Partial<TestSidecarOptions>;
  } = {},
): Promise<{ readonly sidecar: Sidecar; readonly port: number }> {
  const sidecar = await harness.sidecar(
    { destination: () => ({ address: "10.96.0.1", port: 80 }), ...more.options },
    {
      ...outbound([virtualHost(["*"], routes)], more.rbac, {
        accessLog: true,
        translatesGrpcWeb: true,
      }),
      clusters: [cluster("app", more.app ?? { protocol: "http/2" }), passthrough],
      endpoints: [{ cluster: "app", endpoints: ports.map((port) => endpoint(port)) }],
    },
  );
  return { sidecar, port: sidecar.portOf("virtualOutbound") ?? 0 };
}

const fieldsOf = ({ type = "application/grpc-web+proto", headers = {} }: WebQuestion) => ({
  "content-type": type,
  "x-grpc-web": "1",
  ...headers,
});

/** What is asked of either version of HTTP. `onBytes` sees the answer's pieces as they come. */
export type Ask = (
  port: number,
  question: WebQuestion,
  onBytes?: (bytes: Buffer) => void,
) => Promise<WebReply>;

export const askByHttp1: Ask = async (port, question, onBytes) => {
  const { path = "/test.Echo/Unary", body } = question;
  const sent = request({
    port,
    host: "127.0.0.1",
    method: "POST",
    path,
    headers: { host: "cart", ...fieldsOf(question) },
  });
  sent.on("error", () => {}); // what comes of it is read below
  for (const piece of body) sent.write(piece);
  sent.end();
  const [answer] = await once(sent, "response");
  const whole = await wholeOf(answer, onBytes);
  return { status: answer.statusCode, headers: answer.headers, body: whole };
};

export const askByHttp2: Ask = async (port, question, onBytes) => {
  const { path = "/test.Echo/Unary", body } = question;
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      ":authority": "cart",
      ...fieldsOf(question),
    });
    for (const piece of body) stream.write(piece);
    stream.end();
    const [headers] = await once(stream, "response");
    return { status: headers[":status"], headers, body: await wholeOf(stream, onBytes) };
  } finally {
    session.destroy();
  }
};

async function wholeOf(
  stream: Readable,
  onBytes: (bytes: Buffer) => void = () => {},
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const bytes of stream) {
    onBytes(bytes);
    parts.push(bytes);
  }
  return Buffer.concat(parts);
}

/** The frames of a body; of one in base64 each piece is padded for itself. */
export function contentOf({ headers, body }: Pick<WebReply, "headers" | "body">): WebContent {
  const isText = headers["content-type"]?.startsWith("application/grpc-web-text") === true;
  const plain = isText ? plainOf(body.toString("latin1")) : body;
  const messages: string[] = [];
  let trailers: string | undefined;
  for (let at = 0; at < plain.length; ) {
    const length = plain.readUInt32BE(at + 1);
    const text = plain.toString("latin1", at + 5, at + 5 + length);
    if (plain[at] === 0x80) trailers = text;
    else messages.push(text);
    at += 5 + length;
  }
  return { messages, trailers };
}

export function plainOf(text: string): Buffer {
  const pieces = text.match(/[^=]+={0,2}/g) ?? [];
  return Buffer.concat(pieces.map((piece) => Buffer.from(piece, "base64")));
}
