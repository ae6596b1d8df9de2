/**
 * The cases of llhttp, the parser in Node: what it refuses we refuse, and what both take is the same messages.
 *
 * Every case is accounted for: it holds, or it is left out or differs for a reason that stands here. A request of
 * theirs without Host gets one put in, since they test the parser alone and we refuse such a request for that.
 */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { type ReadMessage, readMessages } from "./read-messages.ts";

interface Case {
  readonly file: string;
  readonly name: string;
  readonly meta: { readonly type: string; readonly pause?: string; readonly skipBody?: boolean };
  readonly inputHex: string;
  readonly messagesComplete: number;
  readonly error: { readonly reason: string } | null;
  readonly log: readonly string[];
}

/** Cases about something that we do not have. */
function leftOut({ meta }: Case): string | undefined {
  if (meta.type.includes("lenient")) return "a lenient mode: we have none";
  if (meta.skipBody === true) return "their application tells the parser that there is no body";
  return undefined;
}

/** Where we refuse what they take, or read on where they stop. */
const differs: readonly (readonly [name: RegExp, reason: string])[] = [
  [/SOURCE request with ICE|with RTSP$|(RTSP|ICE) response$/, "another protocol than HTTP"],
  [/No HTTP version$|HTTP version 0\.9$/, "HTTP/0.9 has no framing"],
  [/Fragment in URI$|POST with `chunked` as last/, "a fragment is no part of a target"],
  [/Trailing headers$/, "Content-Type may not be a trailer"],
  [/`chunked` before other|chunked is not the last|`chunkedchunked`/, "one coding: chunked"],
  [/ANNOUNCE method$|\/ Invalid method$/, "any token is a method: the application knows its own"],
  [/No restart when keep-alive is off/, "Connection is the codec's business"],
  [/keep-alive disabled, content-length$/, "Connection is the codec's business"],
  [/PRI request HTTP2$/, "only the proxy's target rules refuse PRI"],
  [
    /Multiple tokens with folding and LWS$|Upgrade (GET|POST) request$/,
    "reads on after an upgrade",
  ],
  [/CONNECT request$|CONNECT with body$/, "reads on after CONNECT"],
  [/HTTP 101 response/, "reads on after 101"],
  [/explicit `close`$|Google 301$/, "the table ran two cases and the prose between into one input"],
];

const table = new URL("../../../../shared/conformance/llhttp/cases.json", import.meta.url);

describe("the llhttp table", {
  skip: existsSync(table) ? false : "the conformance tables are absent",
}, () => {
  test("holds, but for what has a reason", (context) => {
    const cases = JSON.parse(readFileSync(table, "utf8")) as readonly Case[];
    const failures: string[] = [];
    const reasons = new Map<string, number>();
    let held = 0;
    for (const one of cases) {
      const why = leftOut(one);
      const problem = why === undefined ? contradiction(one) : undefined;
      const reason = why ?? differs.find(([name]) => name.test(one.name))?.[1];
      if (why === undefined && problem === undefined) held++;
      else if (reason === undefined) failures.push(`${one.file}: ${one.name}: ${problem}`);
      else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    const others = [...reasons].map(([reason, count]) => `${count} × ${reason}`).join("; ");
    context.diagnostic(`llhttp: ${held} of ${cases.length} hold; differ or left out: ${others}`);
    assert.deepEqual(failures, []);
    assert(held >= 180, `only ${held} hold`);
  });
});

/** How our reading differs from theirs; undefined when it does not. */
function contradiction(one: Case): string | undefined {
  const kind = one.meta.type.startsWith("request") ? "request" : "response";
  const given = Buffer.from(one.inputHex, "hex").toString("latin1");
  const text = kind === "request" ? withHosts(given) : given;
  const { messages, problem } = readMessages(kind, [Buffer.from(text, "latin1")]);
  const theirs = one.error === null || /^Pause on|^Data after/.test(one.error.reason);
  if (!theirs) {
    return problem === undefined ? `we take it, they say: ${one.error?.reason}` : undefined;
  }
  if (problem !== undefined) return `they take it, we say: ${problem}`;
  if (messages.length !== one.messagesComplete) {
    return `they read ${one.messagesComplete} messages, we ${messages.length}`;
  }
  const wanted = messagesOf(one.log).slice(0, messages.length);
  const got = messages.map(plain);
  return isSame(got, wanted)
    ? undefined
    : `${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`;
}

function withHosts(text: string): string {
  return text.replace(
    /HTTP\/1\.1\r\n(?=([\s\S]*?)\r\n\r\n|([\s\S]*)$)/g,
    (line, head = "", rest = "") => (/^host:/im.test(head || rest) ? line : `${line}Host: a\r\n`),
  );
}

interface Plain {
  readonly first: string;
  readonly fields: readonly (readonly [string, string])[];
}

function plain({ startLine, fields }: ReadMessage): Plain {
  return { first: startLine.replace(/ ?HTTP\/1\.\d ?/, " ").trim(), fields };
}

/**
 * Their log as messages: method and URL or status, then fields. A trailer is listed as a field, so only a prefix is
 * sure.
 */
function messagesOf(log: readonly string[]): readonly Plain[] {
  const messages: { first: string; fields: [string, string][]; isHead: boolean }[] = [];
  for (const line of log) {
    const current = messages.at(-1);
    const [, span, text = ""] = /span\[(\w+)\]="([\s\S]*)"$/.exec(line) ?? [];
    const value = plainText(text);
    const field = current?.fields.at(-1);
    if (line.endsWith("message begin")) messages.push({ first: "", fields: [], isHead: true });
    else if (current === undefined) continue;
    else if (line.includes("headers complete")) {
      const [, status] = /status=(\d+)/.exec(line) ?? [];
      if (status !== undefined) current.first = `${status} ${current.first}`.trim();
      current.isHead = false;
    } else if (!current.isHead) continue;
    else if (span === "method") current.first = value;
    else if (span === "url") current.first += ` ${value}`;
    else if (span === "status") current.first = value;
    else if (span === "header_field") current.fields.push([value, ""]);
    else if (span === "header_value" && field !== undefined) field[1] += value;
  }
  return messages;
}

function plainText(text: string): string {
  return text.replace(/\\([tf])/g, (_, character: string) => (character === "t" ? "\t" : "\f"));
}

function isSame(got: readonly Plain[], wanted: readonly Plain[]): boolean {
  return got.every((message, index) => {
    const other = wanted[index];
    const fields = message.fields.filter(([name, value]) => name !== "Host" || value !== "a");
    const theirs = other?.fields.filter(([name, value]) => name !== "Host" || value !== "a");
    return (
      message.first.replace(/\s+/g, " ") === other?.first.replace(/\s+/g, " ") &&
      JSON.stringify(fields.map(trimmed)) === JSON.stringify(theirs?.map(trimmed))
    );
  });
}

/** Latin1 against UTF-8, and white space at the end: neither is what the cases are about. */
function trimmed([name, value]: readonly [string, string]): readonly [string, string] {
  return [name, value.replace(/[^\x20-\x7e]/g, "").trim()];
}
