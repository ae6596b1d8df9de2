import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ipFamilies } from "../../base/ip.ts";
import { seededRandom } from "../../base/random.ts";
import { decodeIcmp, decodeMark, encodeEcho, encodeMark, leastBytes } from "./echo.ts";

/** As a raw socket hands it out: with a header in IPv4. */
function received(family: "IPv4" | "IPv6", message: Uint8Array): Uint8Array {
  if (family === "IPv6") return message;
  return Uint8Array.from([0x45, ...new Uint8Array(19), ...message]);
}

describe("an echo request", () => {
  for (const family of ipFamilies) {
    test(`of ${family} decodes to what it was, at every size`, () => {
      for (const bytes of [leastBytes[family], 84, 1_351, 1_450, 9_000]) {
        const echo = { check: 0xfedcba98, way: "overlay", sequence: 65_535, bytes } as const;
        const message = encodeEcho(family, echo);
        assert.deepEqual(decodeIcmp(family, received(family, message)), {
          kind: "request",
          ...echo,
        });
      }
    });
  }

  test("has the checksum of RFC 1071", () => {
    const message = encodeEcho("IPv4", { check: 1, way: "underlay", sequence: 2, bytes: 84 });
    let sum = 0;
    for (let at = 0; at < message.length; at += 2) {
      sum += ((message[at] ?? 0) << 8) | (message[at + 1] ?? 0);
    }
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    assert.equal(sum, 0xffff);
  });
});

test("a router's word that a packet is too large names the try and what would fit", () => {
  const request = encodeEcho("IPv4", { check: 1, way: "underlay", sequence: 77, bytes: 84 });
  const quoted = received("IPv4", request).subarray(0, 28);
  const told = received("IPv4", Uint8Array.from([3, 4, 0, 0, 0, 0, 0x05, 0x14, ...quoted]));
  assert.deepEqual(decodeIcmp("IPv4", told), { kind: "too-large", sequence: 77, mtu: 1_300 });
});

test("a datagram's mark decodes to what it was; nobody else's does", () => {
  const mark = { check: 7, way: "overlay" } as const;
  assert.deepEqual(decodeMark(encodeMark(mark, 512)), mark);
  assert.equal(encodeMark(mark, 512).length, 512);
  assert.equal(decodeMark(new Uint8Array(512)), undefined);
});

test("any bytes are read to a probe or to nothing", () => {
  const random = seededRandom(7);
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from({ length: Math.floor(random() * 90) }, () => random() * 256);
    if (random() < 0.5) bytes[0] = 0x45;
    for (const family of ipFamilies) decodeIcmp(family, bytes);
    decodeMark(bytes);
  }
});
