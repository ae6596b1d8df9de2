import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import fc from "../../test/property.ts";
import {
  addressAt,
  canonicalIp,
  cidrContains,
  cidrSize,
  compareIps,
  hostCidr,
  isIp,
  isIpv4,
  isIpv6,
  parseCidr,
  parseIp,
  renderCidr,
  renderIp,
  subnetAt,
} from "./ip.ts";

describe("an address", () => {
  const canonical = [
    ["10.0.0.1", "10.0.0.1"],
    // RFC 5952 §4 and §5, one line for each recommendation.
    ["2001:0db8::0001", "2001:db8::1"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:DB8::AAAA", "2001:db8::aaaa"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ] as const;
  for (const [text, wanted] of canonical) {
    test(`${text} is shown as ${wanted}`, () => assert.equal(canonicalIp(text), wanted));
  }

  test("is recognised where Node recognises it", () => {
    const piece = fc.constantFrom("0", "1", "ffff", "10", ":", "::", ".", "255", "256", "g", "01");
    const drawn = fc.array(piece, { maxLength: 17 }).map((parts) => parts.join(""));
    const valid = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(fc.oneof(drawn, valid), (text) => {
        assert.equal(isIpv4(text), isIP(text) === 4, text);
        assert.equal(isIpv6(text), isIP(text) === 6, text);
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  test("survives being shown and read again", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const address = parseIp(text);
        assert.deepEqual(parseIp(renderIp(address)), address);
        assert.equal(canonicalIp(canonicalIp(text)), canonicalIp(text));
      }),
      { seed: 8 },
    );
  });

  test("with a zone, a port or brackets is none", () => {
    for (const text of ["fe80::1%eth0", "[::1]", "10.0.0.1:80", "", "::1::", "1:2:3:4:5:6:7:8::"]) {
      assert.equal(isIp(text), false, text);
    }
    assert.throws(() => parseIp("1:2"), /cannot parse IPv6 address "1:2": want eight groups/);
    assert.throws(() => parseIp("10.0.0"), /cannot parse IPv4 address "10.0.0": want four octets/);
  });

  test("sorts by family, then by number", () => {
    const sorted = ["9.0.0.1", "10.0.0.1", "255.0.0.1", "::2", "::10", "fd00::1"];
    assert.deepEqual([...sorted].reverse().sort(compareIps), sorted);
  });
});

describe("a prefix", () => {
  test("clears host bits in either family", () => {
    assert.equal(renderCidr(parseCidr("10.1.2.3/8")), "10.0.0.0/8");
    assert.equal(renderCidr(parseCidr("fd00:10:180::2:1/64")), "fd00:10:180::/64");
    assert.equal(renderCidr(parseCidr("FD00::7/128")), "fd00::7/128");
    assert.equal(renderCidr(parseCidr("::1/0")), "::/0");
  });

  test("says which lengths there are", () => {
    assert.throws(() => parseCidr("10.0.0.0/33"), /prefix length must be 0\.\.32/);
    assert.throws(() => parseCidr("fd00::/129"), /prefix length must be 0\.\.128/);
    assert.throws(() => parseCidr("fd00::"), /want address\/prefix/);
  });

  test("contains addresses of its own family only", () => {
    const cases = [
      ["10.0.0.0/8", "10.255.0.1", true],
      ["10.0.0.0/8", "11.0.0.1", false],
      ["0.0.0.0/0", "::1", false],
      ["::/0", "10.0.0.1", false],
      ["fd00::/64", "fd00::ffff:0:0:1", true],
      ["fd00::/64", "fd00:0:0:1::1", false],
    ] as const;
    for (const [cidr, address, wanted] of cases) {
      assert.equal(cidrContains(parseCidr(cidr), address), wanted, `${cidr} ${address}`);
    }
  });

  test("counts its addresses and names each", () => {
    assert.equal(cidrSize(parseCidr("10.0.0.0/26")), 64);
    assert.equal(cidrSize(parseCidr("fd00::/112")), 65536);
    assert.equal(addressAt(parseCidr("10.0.0.0/26"), 63), "10.0.0.63");
    assert.equal(addressAt(parseCidr("fd00::/64"), 2n ** 64n - 1n), "fd00::ffff:ffff:ffff:ffff");
    assert.throws(() => addressAt(parseCidr("fd00::/120"), 256), RangeError);
    assert.deepEqual(subnetAt(parseCidr("fd00::/64"), 122, 3), {
      address: "fd00::c0",
      prefixLength: 122,
    });
    assert.deepEqual(hostCidr("fd00::1"), { address: "fd00::1", prefixLength: 128 });
  });
});
