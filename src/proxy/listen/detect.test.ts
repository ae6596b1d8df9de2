import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { readClientHello } from "./client-hello.ts";
import { detect } from "./detect.ts";

describe("detection by first bytes", () => {
  for (const [text, protocol] of [
    ["\x16\x03\x01", "tls"],
    ["GET / HTTP/1.1\r\n", "http/1.1"],
    ["OPTIONS * HTTP/1.1\r\n", "http/1.1"],
    ["CONNECT a:443 HTTP/1.1\r\n", "http/1.1"],
    ["M-SEARCH http://a HTTP/1.1\r\n", "http/1.1"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2c"],
    ["GE", undefined],
    ["GET ", undefined],
    ["P", undefined],
    ["PRI * H", undefined],
    ["", undefined],
    ["EHLO me\r\n", "other"],
    ["*1\r\n$4\r\nPING\r\n", "other"],
    ["PING\r\n", "other"],
    ["get key\r\n", "other"],
    ["Extra lineGET / HTTP/1.1\r\n", "other"],
    ["\0\0\0\x08\x04\xd2\x16\x2f", "other"],
    ["A".repeat(100), "other"],
  ] as const) {
    test(`takes ${JSON.stringify(text.slice(0, 20))} for ${protocol}`, () => {
      assert.equal(detect(Buffer.from(text, "latin1")), protocol);
    });
  }
});

describe("a ClientHello", () => {
  test("tells its application protocols, however much of it has arrived", async (context) => {
    const arrived: Buffer[] = [];
    const server = createServer((socket) =>
      socket.on("data", (bytes: Buffer) => arrived.push(bytes)),
    );
    context.after(() => server.close());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    assert(typeof address === "object" && address !== null);
    const socket = connect({
      port: address.port,
      host: "127.0.0.1",
      ALPNProtocols: ["istio", "http/1.1"],
    });
    context.after(() => socket.destroy());
    socket.on("error", () => {});
    const read = () => readClientHello(Buffer.concat(arrived));
    while (read() === undefined) await new Promise(setImmediate);
    assert.deepEqual(read(), { alpn: ["istio", "http/1.1"] });
    const whole = Buffer.concat(arrived);
    for (let end = 0; end < whole.length - 1; end++) {
      const part = readClientHello(whole.subarray(0, end));
      assert(part === undefined || end > 5, `${end} bytes were taken for a whole hello`);
      if (part !== undefined) assert.deepEqual(part, { alpn: ["istio", "http/1.1"] });
    }
  });

  test("that is none, or damaged, has no protocols", () => {
    assert.deepEqual(readClientHello(Buffer.from("160301000402000000", "hex")), { alpn: [] });
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.alloc(80, i);
      bytes.set([0x16, 3, 1, 0, 75, 1, 0, 0, 71]);
      assert.doesNotThrow(() => readClientHello(bytes));
    }
  });
});
