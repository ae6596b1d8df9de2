/**
 * HTTP/1.1: requests and responses, heads and bodies.
 *
 * For every input: reading never throws; it comes out the same however the bytes are cut; no message takes bytes that
 * were not there; and each message, printed from what was read of it, is read as the same message again.
 */

import { seededRandom } from "../../src/base/random.ts";
import {
  type Reading,
  type ReadMessage,
  readMessages,
} from "../../src/wire/http1/read-messages.ts";
import type { Corpus } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");

const dictionary = [
  "\r\n",
  "\r\n\r\n",
  "\n",
  "0\r\n\r\n",
  "5\r\nhello\r\n",
  ";a=b",
  ';a="b\\""',
  "Host: a\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: identity\r\n",
  "Connection: close, upgrade\r\n",
  "Expect: 100-continue\r\n",
  "Upgrade: websocket\r\n",
  "X-Trailer: x\r\n",
  " HTTP/1.1\r\n",
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "http://b/",
  "chunked",
  "ffffffffffffffff",
].map(latin1);

const requests: Corpus = {
  dictionary,
  seeds: [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /p?q=1 HTTP/1.1\r\nHost: shop:80\r\nAccept: */*\r\nCookie: a=b\r\nConnection: x, close\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x="y"\r\nhello\r\n0\r\nX-T: v\r\n\r\n',
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nbytes of a tunnel",
    "PUT / HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nGET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n",
  ].map(latin1),
};

const responses: Corpus = {
  dictionary,
  seeds: [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil close",
    "HTTP/1.1 503\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
  ].map(latin1),
};

export const http1Requests: FuzzTarget = target("http1 requests", "request", requests);
export const http1Responses: FuzzTarget = target("http1 responses", "response", responses);

function target(name: string, kind: "request" | "response", corpus: Corpus): FuzzTarget {
  const random = seededRandom(7);
  return {
    name,
    corpus,
    check(bytes) {
      const whole = readMessages(kind, [bytes]);
      const cut = Math.floor(random() * bytes.length);
      const inTwo = readMessages(kind, [bytes.subarray(0, cut), bytes.subarray(cut)]);
      if (!isSame(whole, inTwo)) throw new Error(`cut at ${cut} it is read differently`);
      let at = 0;
      for (const message of whole.messages) {
        if (message.end < at + message.bodyBytes || message.end > bytes.length) {
          throw new Error(`a message ends at ${message.end}`);
        }
        const body = bytes.subarray(message.end - message.bodyBytes, message.end);
        const again = readMessages(kind, [print(message, body)]);
        const [first, second] = again.messages;
        if (first === undefined || second !== undefined || !isSameMessage(first, message)) {
          throw new Error(`printed, a message is read differently: ${JSON.stringify(message)}`);
        }
        at = message.end;
      }
      return whole.problem === undefined && whole.messages.length > 0;
    },
  };
}

function print({ startLine, fields }: ReadMessage, body: Uint8Array): Uint8Array {
  let head = `${startLine}\r\n`;
  for (const [name, value] of fields) head += `${name}: ${value}\r\n`;
  return Buffer.concat([latin1(`${head}\r\n`), body]);
}

function isSame(a: Reading, b: Reading): boolean {
  return (
    a.problem === b.problem &&
    a.isCut === b.isCut &&
    a.messages.length === b.messages.length &&
    a.messages.every((message, index) => {
      const other = b.messages[index];
      return other !== undefined && message.end === other.end && isSameMessage(message, other);
    })
  );
}

function isSameMessage(a: ReadMessage, b: ReadMessage): boolean {
  return (
    a.startLine === b.startLine &&
    a.bodyBytes === b.bodyBytes &&
    a.fields.length === b.fields.length &&
    a.fields.every(([name, value], index) => {
      const other = b.fields[index];
      return other !== undefined && other[0] === name && other[1] === value;
    })
  );
}
