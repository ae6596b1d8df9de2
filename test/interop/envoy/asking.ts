/**
 * Asking a proxy, and what came back as named texts, so that two answers can be compared name by name.
 *
 * An HTTP/1.1 request is sent as it is written, in a case's own bytes: what a proxy makes of unusual ones is the point.
 */

import { connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { contentOf } from "../../../src/proxy/testing/grpc-web.ts";

/** `status`, `body`, `field NAME`, `trailer NAME`, `interim`, `ends`, and of what the application saw: `sent …`. */
export type Answer = ReadonlyMap<string, string>;

export type Question =
  /** Lines of a head, or a head and a body; line ends and the empty line are put in. */
  | { readonly kind: "http1"; readonly head: readonly string[]; readonly body?: string }
  | {
      readonly kind: "http2";
      readonly fields: OutgoingHttpHeaders;
      readonly body?: string;
      readonly trailers?: OutgoingHttpHeaders;
    };

const patienceMs = 10_000;

/** What a caller shows in mutual TLS. */
export interface Caller {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** `caller`: in mutual TLS, as whom; in the clear without. HTTP/2 is asked in the clear only. */
export function ask(port: number, question: Question, caller?: Caller): Promise<Answer> {
  return question.kind === "http1" ? askHttp1(port, question, caller) : askHttp2(port, question);
}

// ---- HTTP/1.1 ------------------------------------------------------------------------------------

async function askHttp1(
  port: number,
  { head, body = "" }: Extract<Question, { kind: "http1" }>,
  caller: Caller | undefined,
): Promise<Answer> {
  const bytes = Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`, "latin1");
  const method = head[0]?.split(" ")[0] ?? "";
  const text = await exchange(open(port, caller), bytes, (soFar) => isWhole(soFar, method));
  const answer = new Map<string, string>();
  let rest = text.said;
  while (/^HTTP\/1\.1 1(?!01)\d\d/.test(rest)) {
    const end = rest.indexOf("\r\n\r\n") + 4;
    answer.set("interim", rest.slice(9, 12));
    rest = rest.slice(end);
  }
  const { status, fields, after } = partsOf(rest);
  answer.set("status", status);
  for (const [name, value] of fields) put(answer, `field ${name}`, value);
  // Who says that the connection ends with this answer does so sooner or later; a tunnel has an end of its own.
  const says = fields.some(([name, value]) => name === "connection" && value === "close");
  if (status !== "101") answer.set("ends", text.hasEnded || says ? "connection" : "answer");
  const isChunked = fields.some(
    ([name, value]) => name === "transfer-encoding" && value === "chunked",
  );
  const whole = isChunked ? dechunked(after) : { body: after, trailers: [] };
  for (const [name, value] of whole.trailers) put(answer, `trailer ${name}`, value);
  putContent(answer, whole.body);
  return answer;
}

interface Said {
  readonly said: string;
  /** The proxy hung up. */
  readonly hasEnded: boolean;
}

function open(port: number, caller: Caller | undefined): Socket {
  const place = { port, host: "127.0.0.1" };
  if (caller === undefined) return connect(place);
  // Certificates of a mesh say who somebody is, and not where.
  return connectTls({ ...place, ...caller, checkServerIdentity: () => undefined });
}

function exchange(
  socket: Socket,
  bytes: Buffer,
  isEnough: (text: string) => boolean,
): Promise<Said> {
  return new Promise((resolve, reject) => {
    let said = "";
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no whole answer within ${patienceMs} ms, but: ${said}`));
    }, patienceMs);
    const done = (hasEnded: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ said, hasEnded });
    };
    socket.on("data", (chunk: Buffer) => {
      said += chunk.toString("latin1");
      // A proxy that hangs up does so with its answer's last byte, or nearly.
      if (isEnough(said)) setTimeout(() => done(false), 20);
    });
    socket.on("end", () => done(true));
    socket.on("error", () => done(true));
    socket.write(bytes);
  });
}

function isWhole(text: string, method: string): boolean {
  let rest = text;
  while (/^HTTP\/1\.1 1(?!01)\d\d/.test(rest)) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return false;
    rest = rest.slice(end + 4);
  }
  if (!rest.includes("\r\n\r\n")) return false;
  const { status, fields, after } = partsOf(rest);
  if (method === "HEAD" || status === "204" || status === "304") return true;
  if (status === "101") return after.length > 0;
  const fieldNamed = (wanted: string) => fields.find(([name]) => name === wanted)?.[1];
  if (fieldNamed("transfer-encoding") === "chunked")
    return /(^|\r\n)0\r\n([^\r]+\r\n)*\r\n$/.test(after);
  const length = fieldNamed("content-length");
  return length !== undefined && after.length >= Number(length);
}

interface Parts {
  readonly status: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly after: string;
}

function partsOf(text: string): Parts {
  const end = text.indexOf("\r\n\r\n");
  const [line = "", ...lines] = text.slice(0, end < 0 ? text.length : end).split("\r\n");
  return {
    status: line.slice(9, 12),
    fields: lines.map(fieldOf),
    after: end < 0 ? "" : text.slice(end + 4),
  };
}

function fieldOf(line: string): readonly [string, string] {
  const at = line.indexOf(":");
  return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
}

function dechunked(text: string): { readonly body: string; readonly trailers: Parts["fields"] } {
  let body = "";
  let at = 0;
  for (;;) {
    const end = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, end), 16);
    if (end < 0 || !(size > 0)) {
      const lines = text
        .slice(end + 2)
        .split("\r\n")
        .filter((line) => line !== "");
      return { body, trailers: lines.map(fieldOf) };
    }
    body += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}

// ---- HTTP/2 --------------------------------------------------------------------------------------

function askHttp2(
  port: number,
  { fields, body, trailers }: Extract<Question, { kind: "http2" }>,
): Promise<Answer> {
  const answer = new Map<string, string>();
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  return new Promise<Answer>((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request(fields, {
      endStream: body === undefined && trailers === undefined,
      waitForTrailers: trailers !== undefined,
    });
    const parts: Buffer[] = [];
    stream.setTimeout(patienceMs, () => reject(new Error("no whole answer")));
    stream.on("wantTrailers", () => stream.sendTrailers(trailers ?? {}));
    stream.on("headers", (found) => answer.set("interim", String(found[":status"])));
    stream.on("response", (found) => putAll(answer, "field", found));
    stream.on("trailers", (found) => putAll(answer, "trailer", found));
    stream.on("data", (chunk: Buffer) => parts.push(chunk));
    stream.on("error", () => answer.set("ends", `reset ${stream.rstCode}`));
    stream.on("close", () => {
      putContent(answer, Buffer.concat(parts).toString("latin1"));
      resolve(answer);
    });
    if (body !== undefined || trailers !== undefined) stream.end(body ?? "");
  }).finally(() => session.destroy());
}

function putAll(answer: Map<string, string>, what: string, fields: OutgoingHttpHeaders): void {
  for (const [name, value] of Object.entries(fields)) {
    if (name === ":status") answer.set("status", String(value));
    else if (value !== undefined) put(answer, `${what} ${name}`, String(value));
  }
}

// ---- both ----------------------------------------------------------------------------------------

function put(answer: Map<string, string>, name: string, value: string): void {
  const before = answer.get(name);
  answer.set(name, before === undefined ? value : `${before} | ${value}`);
}

/** Of gRPC-Web the message is the body, and what its last frame says are trailers. */
function putContent(answer: Map<string, string>, body: string): void {
  const type = answer.get("field content-type") ?? "";
  if (!type.startsWith("application/grpc-web")) {
    putBody(answer, body);
    return;
  }
  const { messages, trailers = "" } = contentOf({
    headers: { "content-type": type },
    body: Buffer.from(body, "latin1"),
  });
  putBody(answer, messages.join("\n"));
  for (const line of trailers.split("\r\n").filter((each) => each !== "")) {
    put(answer, `trailer ${fieldOf(line)[0]}`, fieldOf(line)[1]);
  }
}

/** What the application says that it saw becomes names of its own; any other body is one text. */
function putBody(answer: Map<string, string>, body: string): void {
  if (!body.startsWith("request: ")) {
    answer.set("body", body);
    return;
  }
  for (const line of body.split("\n").filter((each) => each !== "")) {
    const at = line.indexOf(": ");
    put(answer, `sent ${line.slice(0, at)}`, line.slice(at + 2));
  }
}
