/**
 * Requests that have made two servers disagree about where one ends, and thousands of their relatives.
 *
 * Each case is what one client sends on one connection: a request with something odd in one or two places, then a plain
 * one, which a server that misread the first would not see, or see changed. Bodies hold `/smuggled` requests. The
 * structured part is the product of known tricks; the rest are mutations of it, from a seed.
 */

import { type Random, seededRandom } from "../../../src/base/random.ts";
import { Mutator } from "../../fuzz/mutate.ts";

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: s\r\nX: y";
const inner = `${smuggled}\r\n\r\n`;

const transferEncodings: readonly string[] = [
  "",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding:chunked",
  "Transfer-Encoding: CHUNKED",
  "Transfer-Encoding:  chunked ",
  "Transfer-Encoding:\tchunked\t",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding\t: chunked",
  " Transfer-Encoding: chunked",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: identity, chunked",
  "Transfer-Encoding: identity",
  "Transfer-Encoding: chunked, chunked",
  "Transfer-Encoding: chunked;q=1",
  'Transfer-Encoding: "chunked"',
  "Transfer-Encoding: chunked\0",
  "Transfer-Encoding: \x0bchunked",
  "Transfer-Encoding: \x85chunked",
  "Transfer-Encoding: \xa0chunked",
  "Transfer-Encoding:\r\n chunked",
  "Transfer-Encoding:\n chunked",
  "Transfer-Encoding\r\n: chunked",
  "X: y\nTransfer-Encoding: chunked",
  "X: y\rTransfer-Encoding: chunked",
  "X: y\r\r\nTransfer-Encoding: chunked",
  "\rTransfer-Encoding: chunked",
  "Transfer_Encoding: chunked",
  "Transfer\xadEncoding: chunked",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
  "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
  "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
  "TE: chunked",
  "Content-Encoding: chunked",
];

/** `#` stands for the length of the body that follows. */
const contentLengths: readonly string[] = [
  "",
  "Content-Length: #",
  "Content-Length: 0",
  "Content-Length: 6",
  "Content-Length: 0#",
  "Content-Length: +#",
  "Content-Length: -0",
  "Content-Length: 0x#",
  "Content-Length: #.0",
  "Content-Length: 1e1",
  "Content-Length: #, #",
  "Content-Length: #\r\nContent-Length: 0",
  "Content-Length: #\r\nContent-Length: #",
  "Content-Length : #",
  "Content-Length:\r\n #",
  "Content-Length: #\0",
  "Content-Length: \xb2",
  "Content_Length: #",
  "X: y\nContent-Length: #",
  "Content-Length: #;x",
  "Content-Length: 99999999999999999999",
  "Connection: content-length\r\nContent-Length: #",
];

const chunkedBodies: readonly string[] = [
  `5\r\nhello\r\n0\r\n\r\n`,
  `5\r\nhello\r\n0\r\n\r\n${inner}`,
  `0\r\n\r\n${inner}`,
  `5 \r\nhello\r\n0\r\n\r\n`,
  `5\nhello\r\n0\r\n\r\n`,
  `5\r\nhello0\r\n\r\n${inner}`,
  `5\r\nhelloX\r\n0\r\n\r\n`,
  `0x5\r\nhello\r\n0\r\n\r\n`,
  `+5\r\nhello\r\n0\r\n\r\n`,
  `-5\r\nhello\r\n0\r\n\r\n`,
  `00000000005\r\nhello\r\n0\r\n\r\n`,
  `000000000000000000000005\r\nhello\r\n0\r\n\r\n`,
  `100000005\r\nhello\r\n0\r\n\r\n`,
  `10000000000000005\r\nhello\r\n0\r\n\r\n`,
  `5;a=b\r\nhello\r\n0\r\n\r\n`,
  `5;a="b\r\n"\r\nhello\r\n0\r\n\r\n`,
  `5;a="\\""\r\nhello\r\n0\r\n\r\n`,
  `5;\nhello\r\n0\r\n\r\n${inner}`,
  `5;a\nhello\r\n0\r\n\r\n${inner}`,
  `5\r\r\nhello\r\n0\r\n\r\n`,
  `5\r\nhello\n0\r\n\r\n`,
  `5\r\nhello\r\n0\n\n${inner}`,
  `5\r\nhello\r\n0\r\n\n${inner}`,
  `5\r\nhello\r\n0\r\nX: y\r\n\r\n`,
  `5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n${inner}`,
  `5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n${inner}`,
  `5\r\nhello\r\n0\r\nHost: s\r\n\r\n`,
  `5\r\nhello\r\n0\r\nX_Forwarded_For: 10.0.0.1\r\n\r\n`,
  `5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n`,
  `5\r\nhello\r\n0\r\nno colon\r\n\r\n`,
  `5\r\nhello\r\n0\r\nX : y\r\n\r\n`,
  `5\r\nhello\r\n00\r\n\r\n`,
  `5\r\nhello\r\n0;a\r\n\r\n`,
  `5\r\nhello\r\n`,
  `ffffffffffffffff\r\nhello\r\n0\r\n\r\n`,
  `g\r\nhello\r\n0\r\n\r\n`,
  `\r\n5\r\nhello\r\n0\r\n\r\n`,
  inner,
  "",
];

/** `@` stands for the case's own path. */
const startLines: readonly string[] = [
  "GET @ HTTP/1.1",
  "HEAD @ HTTP/1.1",
  "DELETE @ HTTP/1.1",
  "TRACE @ HTTP/1.1",
  "CONNECT @ HTTP/1.1",
  "CONNECT a:443 HTTP/1.1",
  "PRI * HTTP/2.0",
  "PRI * HTTP/1.1",
  "GET * HTTP/1.1",
  "OPTIONS * HTTP/1.1",
  "get @ HTTP/1.1",
  "X-Y @ HTTP/1.1",
  "GET  @ HTTP/1.1",
  "GET\t@ HTTP/1.1",
  "GET @\tHTTP/1.1",
  "GET @  HTTP/1.1",
  "GET @ HTTP/1.1 ",
  " GET @ HTTP/1.1",
  "GET @ HTTP/1.0",
  "GET @ HTTP/1.2",
  "GET @ HTTP/1.10",
  "GET @ HTTP/01.1",
  "GET @ HTTP/2.0",
  "GET @ http/1.1",
  "GET @",
  "GET @ HTTP/1.1\rX: y",
  "GET @ x HTTP/1.1",
  "GET @\0 HTTP/1.1",
  "GET @#f HTTP/1.1",
  "GET @?a=b#f HTTP/1.1",
  "GET @?a b HTTP/1.1",
  "GET @/../../x HTTP/1.1",
  "GET @/%2e%2e/x HTTP/1.1",
  "GET @\\..\\x HTTP/1.1",
  "GET @%00 HTTP/1.1",
  "GET @%0d%0aX:%20y HTTP/1.1",
  "GET @\xff HTTP/1.1",
  "GET http://a@ HTTP/1.1",
  "GET http://b@ HTTP/1.1",
  "GET http://b:80:81@ HTTP/1.1",
  "GET http://u:p@b@ HTTP/1.1",
  "GET http://b,c@ HTTP/1.1",
  "GET https://b@ HTTP/1.1",
  "GET ftp://b@ HTTP/1.1",
  "GET http:@ HTTP/1.1",
  "GET //b@ HTTP/1.1",
  "\r\nGET @ HTTP/1.1",
  "\nGET @ HTTP/1.1",
  "GET @ HTTP/1.1\n",
];

const hosts: readonly string[] = [
  "Host: a",
  "Host: a:80",
  "host:a",
  "Host: a\r\nHost: b",
  "Host: a\r\nHost: a",
  "Host: a, b",
  "Host: a b",
  "Host: u@a",
  "Host: a/b",
  "Host: a:b",
  "Host: a:80:81",
  "Host: [::1]:80",
  "Host: [::1",
  "Host:",
  "Host : a",
  " Host: a",
  "X: y\n Host: a",
  "Host: a\0b",
  "Host: \xe4",
  "Hos\xf4t: a\r\nHost: b",
  "",
];

const others: readonly string[] = [
  "Expect: 100-continue\r\nContent-Length: #",
  "Expect: 100-CONTINUE\r\nTransfer-Encoding: chunked",
  "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: #",
  "Expect: y 100-continue\r\nContent-Length: #",
  "Expect: 100-continue, y\r\nContent-Length: #",
  "Expect: y\r\nContent-Length: #",
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nContent-Length: #",
  "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked",
  "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
  "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\nContent-Length: #",
  "Upgrade: websocket",
  "Connection: close\r\nContent-Length: #",
  "Connection: keep-alive, close",
  "Connection: host",
  "Connection: x-forwarded-client-cert\r\nX-Forwarded-Client-Cert: URI=spiffe://admin",
  "X-Forwarded-Client-Cert: URI=spiffe://admin",
  "X_Forwarded_Client_Cert: URI=spiffe://admin",
  "X-Heddle-Peer: x",
  "Keep-Alive: timeout=1",
  "Proxy-Connection: close",
  "X\x80: y",
  "X[]: y",
  "X Y: z",
  ": y",
  "X",
  "X: \x7f",
  "X: \x01",
  "X: y\r\n\tz",
  `X: ${"y".repeat(4_000)}`,
  `${"y".repeat(200)}: z`,
];

const sound: readonly string[] = [
  "GET @ HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
  `POST @ HTTP/1.1\r\nHost: a\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
  `POST @ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n`,
  `POST @ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
  "GET @?q=/smuggled HTTP/1.1\r\nHost: a:80\r\nConnection: x, keep-alive\r\nTE: trailers\r\n\r\n",
  "PUT @ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
];

export interface Case {
  readonly id: number;
  readonly bytes: Buffer;
}

/** All structured cases, and `mutations` more. */
export function corpus(mutations: number, seed: number): readonly Case[] {
  const random = seededRandom(seed);
  const texts = [...structured()];
  // Every second seed is a sound request: most others are refused at their first oddity.
  const seeds = texts.flatMap((text, index) =>
    [text, sound[index % sound.length] ?? ""].map((seed) =>
      Buffer.from(seed.replaceAll("@", "/seed"), "latin1"),
    ),
  );
  const dictionary = [...transferEncodings, ...contentLengths, ...hosts, "\n", "\r", inner].map(
    (text) => Buffer.from(`${text.replaceAll("#", "5")}\r\n`, "latin1"),
  );
  const cases = texts.map((text, id) => ({
    id,
    bytes: Buffer.from(text.replaceAll("@", `/c${id}`) + follower(id), "latin1"),
  }));
  return [...cases, ...mutated({ seeds, dictionary }, random, cases.length, mutations)];
}

function* mutated(
  from: ConstructorParameters<typeof Mutator>[0],
  random: Random,
  first: number,
  count: number,
): Generator<Case> {
  const mutator = new Mutator(from, random);
  for (let id = first; id < first + count; id++) {
    const bytes = Buffer.from(mutator.next()).toString("latin1").replace("/seed", `/c${id}`);
    yield { id, bytes: Buffer.from(bytes + follower(id), "latin1") };
  }
}

/** The plain request after the odd one; when it is answered the connection is over. */
function follower(id: number): string {
  return `GET /after${id} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
}

function* structured(): Generator<string> {
  for (const encoding of transferEncodings) {
    for (const length of contentLengths) {
      for (const body of [`5\r\nhello\r\n0\r\n\r\n`, `0\r\n\r\n${inner}`]) {
        yield message("POST @ HTTP/1.1", ["Host: a", encoding, length], body);
      }
      yield message("GET @ HTTP/1.1", [encoding, "Host: a", length], inner);
    }
  }
  for (const method of ["POST", "GET", "PUT"]) {
    for (const body of chunkedBodies) {
      const fields = ["Host: a", "Transfer-Encoding: chunked"];
      yield message(`${method} @ HTTP/1.1`, fields, body);
    }
  }
  for (const line of startLines) {
    for (const host of hosts) yield message(line, [host], "");
    yield message(line, ["Host: a", "Content-Length: #"], inner);
    yield message(line, ["Host: a", "Transfer-Encoding: chunked"], `0\r\n\r\n${inner}`);
  }
  for (const other of others) {
    for (const method of ["GET", "POST"]) {
      yield message(`${method} @ HTTP/1.1`, ["Host: a", other], "");
      yield message(`${method} @ HTTP/1.1`, ["Host: a", other], `0\r\n\r\n${inner}`);
      yield message(`${method} @ HTTP/1.1`, ["Host: a", other], inner);
    }
  }
}

function message(line: string, fields: readonly string[], body: string): string {
  const lines = fields.filter((field) => field !== "").map((field) => `${field}\r\n`);
  const head = `${line}\r\n${lines.join("")}\r\n`;
  return head.replaceAll("#", line.includes("#") ? "#" : String(body.length)) + body;
}
