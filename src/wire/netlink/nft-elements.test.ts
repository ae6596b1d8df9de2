/** Elements as the kernel dumps them, read as the text that our rulesets have for them. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { MeshError } from "../../base/error.ts";
import { concat, nest, raw, text } from "./attributes.ts";
import { elementShape } from "./nft-elements.ts";
import { decodeElements, decodeRulesGeneration, rangesOf } from "./nftables.ts";

const NFT_MSG_NEWSETELEM = 0xa0c;
const NFT_MSG_NEWGEN = 0xa0f;
const head = Uint8Array.of(1, 0, 0, 0);

const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const field = (type: number, hex: string) => nest(type, raw(1, bytesOf(hex)));
const flags = (number: number) => raw(3, Uint8Array.of(0, 0, 0, number));
const verdict = (code: number, chain: string) =>
  nest(2, nest(2, raw(1, Uint8Array.of(255, 255, 255, code)), text(2, chain)));
const element = (...parts: readonly Uint8Array[]) => nest(1, ...parts);
const dumped = (...elements: readonly Uint8Array[]) => concat(head, nest(3, ...elements));

function shapeOf(declaration: string, ...words: string[]) {
  const shape = elementShape(declaration, words);
  assert.ok(shape !== undefined, declaration);
  return shape;
}

describe("elements of a set or map", () => {
  // declaration, what is dumped, what it is
  const rows: readonly (readonly [string, readonly Uint8Array[], string])[] = [
    ["type ipv4_addr", [field(1, "0a000001")], "10.0.0.1"],
    ["type ifname", [field(1, `${"68643031".padEnd(32, "0")}`)], '"hd01"'],
    [
      "type ipv4_addr . inet_proto . inet_service : mark",
      [field(1, "0a600001 06000000 00500000"), field(2, "10000000")],
      "10.96.0.1 . tcp . 80 : 0x00000010",
    ],
    [
      "typeof meta mark . numgen random mod 2 : ip6 daddr . sctp dport",
      [field(1, "02000000 03000000"), field(2, "fd000000000000000000000000000009 1f900000")],
      "0x00000002 . 3 : fd00::9 . 8080",
    ],
    [
      "type mark : verdict",
      [field(1, "07000000"), verdict(252, "udp-spread-2")],
      "0x00000007 : goto udp-spread-2",
    ],
    ["type ipv6_addr : mark", [flags(2), field(2, "00000000")], "* : 0x00000000"],
    ["type inet_proto . inet_service", [field(1, "2f000000 00350000")], "47 . 53"],
  ];
  for (const [declaration, parts, wanted] of rows) {
    test(`of ${declaration} are read as ${wanted}`, () => {
      const [read] =
        decodeElements(dumped(element(...parts)), NFT_MSG_NEWSETELEM, shapeOf(declaration)) ?? [];
      assert.equal(read?.value === "" ? read.key : `${read?.key} : ${read?.value}`, wanted);
    });
  }

  test("that are ranges in several fields are prefixes where they can be", () => {
    const shape = shapeOf("type ipv4_addr . inet_service", "interval");
    const range = element(field(1, "0a000000 00500000"), field(10, "0a00ffff 005a0000"));
    const host = element(field(1, "0a000001 00500000"), field(10, "0a000002 00500000"));
    const read = decodeElements(dumped(range, host), NFT_MSG_NEWSETELEM, shape) ?? [];
    assert.deepEqual(
      read.map(({ key }) => key),
      ["10.0.0.0/16 . 80-90", "10.0.0.1-10.0.0.2 . 80"],
    );
  });

  test("that are boundaries are the ranges between them, the last up to the end", () => {
    const shape = shapeOf("type ipv4_addr", "interval");
    const at = (address: string, ...more: Uint8Array[]) => element(field(1, address), ...more);
    const list = dumped(
      at("f0000000"),
      at("0a000009", flags(1)),
      at("0a000008"),
      at("0a000008", flags(1)),
      at("0a000000"),
      at("00000000", flags(1)),
    );
    const read = decodeElements(list, NFT_MSG_NEWSETELEM, shape) ?? [];
    assert.deepEqual(rangesOf(read, shape), ["10.0.0.0/29", "10.0.0.8", "240.0.0.0/4"]);
  });

  test("have no shape where a word of their declaration is not known", () => {
    assert.equal(elementShape("type ether_addr"), undefined);
    assert.equal(elementShape("type ipv4_addr : ether_addr"), undefined);
    assert.equal(elementShape("typeof osf name"), undefined);
  });

  test("of another size than their shape are refused, and none is read beyond its end", () => {
    const shape = shapeOf("type ipv4_addr . inet_service : verdict");
    const sample = dumped(element(field(1, "0a000001 00500000"), verdict(252, "somewhere")));
    const damaged = fc
      .tuple(fc.nat(sample.length), fc.nat(255), fc.nat(sample.length))
      .map(([at, byte, length]) => {
        const bytes = sample.slice(0, length);
        if (at < bytes.length) bytes[at] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), damaged), (bytes) => {
        try {
          decodeElements(bytes, NFT_MSG_NEWSETELEM, shape);
          decodeRulesGeneration(bytes, NFT_MSG_NEWGEN);
        } catch (error) {
          assert.ok(error instanceof MeshError, String(error));
          assert.equal(error.code, "wire.netlink.malformed");
        }
      }),
      { numRuns: 500 },
    );
    const short = dumped(element(field(1, "0a0000")));
    assert.throws(() => decodeElements(short, NFT_MSG_NEWSETELEM, shape), {
      code: "wire.netlink.malformed",
    });
  });
});
