import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { canonicalIp } from "../../base/ip.ts";
import { proxyHeader, readProxyHeader } from "./header.ts";

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"));
const port = fc.integer({ min: 0, max: 65_535 });
const ends = fc.constantFrom(fc.ipV4(), fc.ipV6()).chain((address) =>
  fc.record({
    source: fc.record({ address: address.map(canonicalIp), port }),
    destination: fc.record({ address: address.map(canonicalIp), port }),
  }),
);

describe("a PROXY header", () => {
  test("reads back as it was written, by whatever bytes it is followed and in whatever pieces it comes", () => {
    fc.assert(
      fc.property(fc.constantFrom("v1", "v2"), ends, (version, given) => {
        const header = proxyHeader(version, given);
        const followed = Uint8Array.of(...header, 22, 3, 1);
        const { length } = header;
        assert.deepEqual(readProxyHeader(followed), {
          kind: "header",
          length,
          source: { ...given.source },
        });
        for (let cut = 0; cut < length; cut++) {
          assert.equal(readProxyHeader(header.subarray(0, cut)).kind, "partial", `${cut}`);
        }
      }),
      { numRuns: 100 },
    );
  });

  // The examples of the protocol's own text among them.
  const table: readonly (readonly [text: string, kind: string, source?: string])[] = [
    ["PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET /", "header", "192.168.0.1:56324"],
    ["PROXY TCP6 ffff::1 ::1 1 65535\r\n", "header", "ffff::1:1"],
    // A client of IPv4, as a proxy that listens for both families tells of it.
    ["PROXY TCP6 ::ffff:1.2.3.4 ::ffff:192.0.2.1 1 2\r\n", "header", "1.2.3.4:1"],
    ["PROXY TCP6 ::FFFF:102:304 ::1 1 2\r\n", "header", "1.2.3.4:1"],
    ["PROXY TCP6 ::ffff:1:2:3 ::1 1 2\r\n", "header", "::ffff:1:2:3:1"],
    ["PROXY UNKNOWN\r\n", "header"],
    ["PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "header"],
    ["GET / HTTP/1.1\r\n", "none"],
    ["PROXY TCP4 1.2.3.4 ::1 1 2\r\n", "invalid"],
    ["PROXY TCP4 1.2.3.4 1.2.3.5 70000 2\r\n", "invalid"],
    ["PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n", "invalid"],
    [`PROXY TCP4 ${"1".repeat(200)}`, "invalid"],
    ["\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", "invalid"],
    ["\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd", "invalid"],
    ["\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "invalid"],
    ["\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "header"],
    // A UNIX socket's, and one with an extension behind the addresses.
    [`\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8${"x".repeat(216)}`, "header"],
    [
      "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\x01\x02\x03\x04\x05\x06\x07\x08\0\x50\x1f\x90tlv!",
      "header",
      "1.2.3.4:80",
    ],
  ];
  for (const [text, kind, source] of table) {
    test(`${JSON.stringify(text.slice(0, 60))} is ${kind}${source === undefined ? "" : ` from ${source}`}`, () => {
      const found = readProxyHeader(bytes(text));
      assert.equal(found.kind, kind);
      const from = found.kind === "header" ? found.source : undefined;
      assert.equal(from && `${from.address}:${from.port}`, source);
    });
  }

  test("of addresses of two families, or of none, speaks for the proxy itself", () => {
    const mixed = {
      source: { address: "10.0.0.1", port: 1 },
      destination: { address: "::1", port: 2 },
    };
    for (const given of [mixed, undefined]) {
      assert.equal(Buffer.from(proxyHeader("v1", given)).toString(), "PROXY UNKNOWN\r\n");
      assert.equal(proxyHeader("v2", given)[12], 0x20);
    }
  });

  test("never reads past what has come, whatever it is", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (given) => {
        const found = readProxyHeader(given);
        assert.ok(found.kind !== "header" || found.length <= given.length);
      }),
    );
  });
});
