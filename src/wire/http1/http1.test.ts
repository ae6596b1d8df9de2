import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { defaultLimits, HeadParser } from "./head.ts";
import { readMessages } from "./read-messages.ts";

const latin1 = (text: string) => Buffer.from(text, "latin1");
const request = (text: string) => readMessages("request", [latin1(text)]);
const response = (text: string) => readMessages("response", [latin1(text)]);

/** The bytes in pieces of the given sizes, over and over. */
function cut(bytes: Uint8Array, sizes: readonly number[]): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

const good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

describe("a request", () => {
  test("is read into its start line, fields and body length", () => {
    const { messages } = request(
      "\r\nPOST /a?b=c HTTP/1.1\r\nHost: shop:80\r\nX-Empty:\r\nContent-Length:  3 \r\nX: \t a b\t\r\n\r\nabc",
    );
    assert.deepEqual(messages, [
      {
        startLine: "POST /a?b=c HTTP/1.1",
        fields: [
          ["Host", "shop:80"],
          ["X-Empty", ""],
          ["Content-Length", "3"],
          ["X", "a b"],
        ],
        bodyBytes: 3,
        end: 86,
      },
    ]);
  });

  test("ends where its body ends, and the next one begins there", () => {
    const chunked =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Trail: x\r\n\r\n";
    const { messages, problem } = request(chunked + good + good);
    assert.equal(problem, undefined);
    assert.deepEqual(
      messages.map((message) => message.bodyBytes),
      [31, 0, 0],
    );
  });

  // what is sent, and what is wrong with it
  const refused: readonly (readonly [text: string, problem: string])[] = [
    ["GET / HTTP/1.1\nHost: a\r\n\r\n", "bare-lf"],
    ["GET / HTTP/1.1\r\nHost: a\n\r\n", "bare-lf"],
    ["GET / HTTP/1.1\r\nHost: a\r\n\n", "bare-lf"],
    ["\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bare-lf"],
    ["GET / HTTP/1.1\rHost: a\r\n\r\n", "bare-cr"],
    ["GET / HTTP/1.1\r\nHost: a\r\rb: c\r\n\r\n", "bare-cr"],
    ["GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "folded-line"],
    ["GET / HTTP/1.1\r\n Host: a\r\n\r\n", "folded-line"],
    ["GET / HTTP/1.1\r\nHost : a\r\n\r\n", "space-before-colon"],
    ["GET / HTTP/1.1\r\nHost\r\n\r\n", "bad-field-name"],
    ["GET / HTTP/1.1\r\n: a\r\n\r\n", "bad-field-name"],
    ["GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", "bad-field-value"],
    ["GET / HTTP/1.1\r\nX: a\r\n\r\n", "missing-host"],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "repeated-host"],
    ["GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "bad-host"],
    ["GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "bad-host"],
    ["GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n", "bad-host"],
    ["GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "bad-host"],
    ["GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "bad-host"],
    ["GET / HTTP/1.1\r\nHost: \u00e4\r\n\r\n", "bad-host"],
    ["GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "unknown-expectation"],
    ["GET / HTTP/1.1\r\nHost: a\r\nExpect: y 100-continue\r\n\r\n", "unknown-expectation"],
    ["GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", "bad-method"],
    [" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad-method"],
    ["GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "bad-target"],
    ["GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", "bad-target"],
    ["GET /\r\n\r\n", "bad-target"],
    ["GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "bad-version"],
    ["GET / http/1.1\r\nHost: a\r\n\r\n", "bad-version"],
    ["GET / HTTP/2.0\r\nHost: a\r\n\r\n", "unsupported-version"],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "bad-content-length"],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "bad-content-length"],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "bad-content-length"],
    ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "bad-content-length"],
    [
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${"9".repeat(20)}\r\n\r\n`,
      "bad-content-length",
    ],
    [
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "repeated-content-length",
    ],
    [
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      "length-and-chunked",
    ],
    [
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "unknown-transfer-encoding",
    ],
    [
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "bad-transfer-encoding",
    ],
    ["POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad-transfer-encoding"],
  ];
  for (const [text, problem] of refused) {
    test(`with ${problem} is refused: ${JSON.stringify(text.slice(0, 70))}`, () => {
      assert.equal(request(text).problem, problem);
    });
  }

  const brokenBodies: readonly (readonly [text: string, problem: string])[] = [
    ["\r\n", "bad-chunk"],
    ["5\nhello\r\n0\r\n\r\n", "bad-chunk"],
    ["5\r\nhello!\r\n0\r\n\r\n", "bad-chunk"],
    ["5\r\nhello\n0\r\n\r\n", "bad-chunk"],
    ["0x5\r\nhello\r\n0\r\n\r\n", "bad-chunk"],
    ["5 \r\nhello\r\n0\r\n\r\n", "bad-chunk"],
    ["5;a\nb\r\nhello\r\n0\r\n\r\n", "bad-chunk"],
    ["5;\r\nhello\r\n0\r\n\r\n", "bad-chunk"],
    ['5;a="b\r\nhello\r\n0\r\n\r\n', "bad-chunk"],
    ["10000000000000000\r\n", "bad-chunk"],
    ["0\r\nno colon\r\n\r\n", "bad-trailer"],
    ["0\r\n: a\r\n\r\n", "bad-trailer"],
    ["0\r\na: b\n\r\n", "bad-trailer"],
    ["0\r\nContent-Length: 3\r\n\r\n", "forbidden-trailer"],
    ["0\r\na: b\r\nX_Forwarded_For: 10.0.0.1\r\n\r\n", "forbidden-trailer"],
    [`1;${"x".repeat(5000)}\r\n`, "chunk-extension-too-long"],
    [`0\r\na: ${"x".repeat(20_000)}\r\n`, "trailers-too-large"],
  ];
  for (const [text, problem] of brokenBodies) {
    test(`whose body has ${problem} is refused: ${JSON.stringify(text.slice(0, 40))}`, () => {
      const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
      assert.equal(request(head + text).problem, problem);
    });
  }

  test("beyond the limits is refused, whatever part of it is too long", () => {
    const long = "a".repeat(defaultLimits.maxHeadBytes);
    assert.equal(request(`GET /${long} HTTP/1.1\r\n`).problem, "target-too-long");
    assert.equal(request(`GET / HTTP/1.1\r\nHost: a\r\nX: ${long}\r\n`).problem, "head-too-large");
    const many = "X: y\r\n".repeat(defaultLimits.maxFields + 1);
    assert.equal(request(`GET / HTTP/1.1\r\n${many}\r\n`).problem, "too-many-fields");
  });
});

describe("a response", () => {
  test("has the body that its status and fields say", () => {
    const { messages } = response(
      "HTTP/1.1 204 No Content\r\n\r\n" +
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" +
        "HTTP/1.1 100 Continue\r\n\r\n" +
        "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok" +
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    );
    assert.deepEqual(
      messages.map(({ startLine, bodyBytes }) => [startLine, bodyBytes]),
      [
        ["HTTP/1.1 204 No Content", 0],
        ["HTTP/1.1 304 Not Modified", 0],
        ["HTTP/1.1 100 Continue", 0],
        ["HTTP/1.1 200", 2],
        ["HTTP/1.1 200 OK", 11],
      ],
    );
  });

  test("without a length lasts until the connection closes", () => {
    assert.equal(response("HTTP/1.0 200 OK\r\n\r\nabc").isCut, true);
  });

  for (const text of [
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1\r\n\r\n",
  ]) {
    test(`with a bad status line is refused: ${JSON.stringify(text)}`, () => {
      assert.equal(response(text).problem, "bad-status");
    });
  }
});

describe("the parser", () => {
  test("comes to the same outcome however the bytes are cut", () => {
    const part = fc.constantFrom(
      good,
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: keep-alive, x\r\n\r\nbody",
      "POST /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX: \u0001\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "garbage",
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), cuts, (parts, sizes) => {
        const bytes = latin1(parts.join(""));
        assert.deepEqual(
          readMessages("request", cut(bytes, sizes)),
          readMessages("request", [bytes]),
        );
      }),
      { numRuns: 300 },
    );
  });

  test("survives any mutation, and never takes one for more messages than bytes allow", () => {
    const seed = latin1(
      `${good}POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n${good}`,
    );
    const edit = fc.tuple(fc.nat(seed.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(2));
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 6 }), (edits) => {
        const bytes = [...seed];
        for (const [index, value, how] of edits) {
          if (how === 0) bytes[index] = value;
          else if (how === 1) bytes.splice(index, 1);
          else bytes.splice(index, 0, value);
        }
        const whole = Uint8Array.from(bytes);
        const reading = readMessages("request", [whole]);
        assert(reading.messages.length <= bytes.length / 18);
        assert.deepEqual(readMessages("request", cut(whole, [1])), reading);
      }),
      { numRuns: 500 },
    );
  });

  test("reads a head that trickles in byte by byte in linear time", () => {
    const parser = new HeadParser("request");
    const bytes = latin1(`GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(50_000)}\r\n\r\n`);
    for (let end = 1; end < bytes.length; end++) {
      assert.equal(parser.execute(bytes, 0, end), false);
      assert.equal(parser.consumed, end);
    }
    assert.equal(parser.execute(bytes, 0, bytes.length), true);
  });
});

describe("a parser that is reset", () => {
  const whole = latin1(
    "PUT /a HTTP/1.1\r\nHost: a\r\nx: 1\r\nContent-Length: 3\r\nConnection: close\r\nHost: b\r\n\r\n",
  );
  const next = latin1("GET / HTTP/1.1\r\nHost: c\r\n\r\n");

  test("is as new, wherever it stopped and whatever was wrong there", () => {
    const fresh = new HeadParser("request");
    assert(fresh.execute(next, 0, next.length));
    for (let end = 0; end <= whole.length; end++) {
      const parser = new HeadParser("request");
      assert(!parser.execute(whole, 0, end)); // the second Host is a problem
      parser.reset();
      assert(parser.execute(next, 0, next.length));
      assert.deepEqual(parser.first, fresh.first);
      assert.equal(parser.contentLength, -1);
      assert.equal(parser.closes, false);
    }
  });
});

describe("a head whose Connection names as many fields as fit", () => {
  /** Of one head, the fastest of many. */
  function readMs(options: string): number {
    const fields = Array.from({ length: 96 }, (_, i) => `${"bcdfghij"[i % 8]}:\r\n`).join("");
    const bytes = latin1(`GET / HTTP/1.1\r\nhost: a\r\n${fields}connection: ${options}\r\n\r\n`);
    const times = Array.from({ length: 30 }, () => {
      const parser = new HeadParser("request");
      const began = performance.now();
      assert.equal(parser.execute(bytes, 0, bytes.length), true);
      return performance.now() - began;
    });
    return Math.min(...times);
  }

  test("costs little more than one that names none of them", () => {
    const [named, unnamed] = [readMs("z,".repeat(29_000)), readMs(`z${"z".repeat(57_999)}`)];
    assert(named < 20 * unnamed + 5, `${named} ms and ${unnamed} ms`);
  });
});
