/** Netlink's bytes: what is written can be read, and what cannot be read is refused, never read beyond its end. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { MeshError } from "../../base/error.ts";
import { parseCidr, renderIpv4 } from "../../base/ip.ts";
import { decodeAddress, replaceAddress } from "./address.ts";
import {
  Attributes,
  concat,
  ip,
  mac,
  nest,
  parseMac,
  raw,
  text,
  u8,
  u16be,
  u32,
} from "./attributes.ts";
import { decodeConnection, decodeConnectionCount } from "./conntrack.ts";
import { createVeth, createVxlan, decodeLink } from "./link.ts";
import {
  decodeMessages,
  decodeOutcome,
  encodeMessage,
  type NetlinkMessage,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "./message.ts";
import {
  decodeForwarding,
  decodeNeighbour,
  replaceForwarding,
  replaceNeighbour,
} from "./neighbour.ts";
import { decodeLoggedPacket } from "./nflog.ts";
import {
  decodeChain,
  decodeElementKinds,
  decodeRule as decodeFilterRule,
  decodeSet,
} from "./nft-rules.ts";
import { decodeTokenBucket, replaceTokenBucket } from "./queue.ts";
import { decodeRoute, type Route, replaceRoute } from "./route.ts";
import { addSourceRule, decodeRule } from "./rule.ts";

const octets = fc.integer({ min: 0, max: 0xffffffff }).map((value) => renderIpv4(value >>> 0));
const index = fc.integer({ min: 1, max: 0x7fffffff });
const hardware = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join(":"));

const NFULNL_MSG_PACKET = 0x400;

describe("a logged packet", () => {
  const logged = (packet: Uint8Array, prefix = "heddle drop unknown-link") =>
    concat(Uint8Array.of(2, 0, 0, 1), raw(9, packet), text(10, prefix));
  const header = (protocol: number, fragment = 0) =>
    Uint8Array.of(0x45, 0, 0, 60, 0, 0, fragment, 1, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);

  test("is read with ports, without where there are none, and not where it is not IP", () => {
    const ends = { source: "10.0.0.1", destination: "10.0.0.2" };
    const prefix = "heddle drop unknown-link";
    const tcp = header(6);
    tcp[7] = 0; // not a fragment
    const ports = Uint8Array.of(0x80, 0, 0, 80);
    const read = (packet: Uint8Array) => decodeLoggedPacket(NFULNL_MSG_PACKET, logged(packet));
    assert.deepEqual(read(concat(tcp, ports)), { prefix, ...ends, protocol: "tcp", port: 80 });
    assert.deepEqual(read(tcp), { prefix, ...ends, protocol: "tcp", port: 0 });
    const laterFragment = concat(header(17), ports);
    assert.deepEqual(read(laterFragment), { prefix, ...ends, protocol: "udp", port: 0 });
    assert.deepEqual(read(header(1)), { prefix, ...ends, protocol: "icmp", port: 0 });
    assert.equal(read(Uint8Array.of(0x45, 0)), undefined);
    assert.equal(read(Uint8Array.of()), undefined);
    assert.equal(decodeLoggedPacket(NFULNL_MSG_PACKET + 1, logged(tcp)), undefined);
  });

  test("that is damaged is refused or read, never read beyond its end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 90 }), (bytes) => {
        decodeLoggedPacket(NFULNL_MSG_PACKET, logged(bytes));
        try {
          decodeLoggedPacket(NFULNL_MSG_PACKET, bytes);
        } catch (error) {
          assert.ok(error instanceof MeshError);
        }
      }),
    );
  });
});

describe("netlink messages", () => {
  test("are read as they were written, however many are in a datagram", () => {
    const message = fc.record({
      type: fc.integer({ min: 0, max: 0xffff }),
      flags: fc.integer({ min: 0, max: 0xffff }),
      sequence: fc.integer({ min: 0, max: 0xffffffff }),
      payload: fc.uint8Array({ maxLength: 64 }),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const decoded = decodeMessages(concat(...messages.map(encodeMessage)));
        assert.deepEqual(
          decoded.map((each) => ({ ...each, payload: [...each.payload] })),
          messages.map((each) => ({ ...each, payload: [...each.payload] })),
        );
      }),
    );
  });

  test("that claim more than there is are refused", () => {
    const bytes = encodeMessage({ type: 16, flags: 0, sequence: 1, payload: new Uint8Array(8) });
    assert.throws(() => decodeMessages(bytes.subarray(0, 20)), { code: "wire.netlink.malformed" });
    bytes[0] = 4;
    assert.throws(() => decodeMessages(bytes), { code: "wire.netlink.malformed" });
  });

  test("that say an error give errno and the kernel's words", () => {
    const outcome = (type: number, flags: number, payload: Uint8Array) =>
      decodeOutcome({ type, flags, sequence: 1, payload } satisfies NetlinkMessage);
    const errno = Uint8Array.of(0xef, 0xff, 0xff, 0xff); // -17
    const request = new Uint8Array(16);
    request[0] = 16;
    assert.deepEqual(outcome(NLMSG_ERROR, 0, concat(errno, request)), { errno: 17 });
    assert.deepEqual(outcome(NLMSG_DONE, 0, new Uint8Array(0)), { errno: 0 });
    const words = text(1, "Unknown device type");
    assert.deepEqual(outcome(NLMSG_ERROR, 0x300, concat(errno, request, words)), {
      errno: 17,
      text: "Unknown device type",
    });
    request[0] = 20;
    const whole = concat(errno, request, new Uint8Array(4), words);
    assert.equal(outcome(NLMSG_ERROR, 0x200, whole).text, "Unknown device type");
    assert.equal(outcome(NLMSG_DONE, 0x200, concat(errno, words)).text, "Unknown device type");
  });
});

describe("netlink attributes", () => {
  test("are read as they were written", () => {
    const attributes = new Attributes(
      concat(
        u8(1, 7),
        u32(2, 0xfffffffe),
        u16be(3, 4789),
        text(4, "hd0123456789"),
        ip(5, "192.0.2.255"),
        mac(6, "02:00:00:00:00:ff"),
        ip(8, "fd00::1:2"),
        nest(7, text(1, "vxlan"), nest(2, u32(1, 4096))),
      ),
    );
    assert.equal(attributes.u8(1), 7);
    assert.equal(attributes.u32(2), 0xfffffffe);
    assert.equal(attributes.u16be(3), 4789);
    assert.equal(attributes.text(4), "hd0123456789");
    assert.equal(attributes.ip(5), "192.0.2.255");
    assert.equal(attributes.ip(8), "fd00::1:2");
    assert.equal(attributes.mac(6), "02:00:00:00:00:ff");
    assert.equal(attributes.nested(7)?.text(1), "vxlan");
    assert.equal(attributes.nested(7)?.nested(2)?.u32(1), 4096);
    assert.equal(attributes.u32(99), undefined);
  });

  test("of the wrong size are refused", () => {
    const attributes = new Attributes(raw(1, Uint8Array.of(1, 2)));
    assert.throws(() => attributes.u32(1), { code: "wire.netlink.malformed" });
    assert.throws(() => attributes.ip(1), { code: "wire.netlink.malformed" });
    assert.throws(() => new Attributes(Uint8Array.of(9, 0, 1, 0, 0)), {
      code: "wire.netlink.malformed",
    });
  });

  test("take hardware addresses of six octets only", () => {
    assert.throws(() => parseMac("02:00:00:00:00"), SyntaxError);
    assert.throws(() => parseMac("02:00:00:00:00:0g"), SyntaxError);
  });
});

describe("netlink objects", () => {
  test("are read as they were written", () => {
    fc.assert(
      fc.property(index, octets, octets, hardware, (linkIndex, address, remote, mac) => {
        const neighbour = { linkIndex, address, mac };
        assert.deepEqual(decodeNeighbour(replaceNeighbour(neighbour).payload), neighbour);
        const forwarding = { linkIndex, mac, remote };
        assert.deepEqual(decodeForwarding(replaceForwarding(forwarding).payload), forwarding);
        const own = { linkIndex, address, prefixLength: 32 };
        assert.deepEqual(decodeAddress(replaceAddress(own).payload), own);
      }),
    );
  });

  test("include routes of every shape", () => {
    const common = { protocol: 0x48, onLink: false, blackhole: false };
    const routes: Route[] = [
      { ...common, destination: { address: "10.244.0.5", prefixLength: 32 }, linkIndex: 7 },
      { ...common, destination: { address: "10.244.0.0", prefixLength: 26 }, blackhole: true },
      {
        ...common,
        destination: { address: "0.0.0.0", prefixLength: 0 },
        linkIndex: 7,
        via: "169.254.1.1",
        onLink: true,
        mtu: 1400,
        metric: 1,
      },
    ];
    for (const route of routes) assert.deepEqual(decodeRoute(replaceRoute(route).payload), route);
  });

  test("include rules by which an address has a table of its own", () => {
    for (const source of ["10.244.0.5/32", "fd00:9::5/128"].map(parseCidr)) {
      const rule = { source, table: 0x4844_0003, priority: 0x4844 };
      assert.deepEqual(decodeRule(addSourceRule(rule).payload), rule);
    }
  });

  test("include the links that are ours", () => {
    const vxlan = {
      kind: "vxlan",
      name: "hdvxlan",
      mtu: 1450,
      mac: "02:00:00:00:00:01",
      vni: 4096,
      port: 4789,
      local: "192.0.2.1",
    } as const;
    assert.deepEqual(decodeLink(createVxlan(vxlan).payload), {
      index: 0,
      name: "hdvxlan",
      kind: "vxlan",
      up: false,
      mtu: 1450,
      mac: "02:00:00:00:00:01",
      routesLoopback: false,
      looseSources: false,
      vxlan: { vni: 4096, port: 4789, local: "192.0.2.1", learning: false },
    });
    const veth = createVeth({
      name: "hd0123456789",
      mtu: 1450,
      peer: { name: "eth0", mac: "02:00:00:00:00:05", netnsFd: 21 },
    });
    assert.equal(decodeLink(veth.payload).kind, "veth");
    assert.equal(decodeLink(veth.payload).name, "hd0123456789");
  });

  test("include token buckets, also of more than 32 bits can say", () => {
    for (const bitsPerSecond of [8_000, 1_000_000_000, 400_000_000_000]) {
      const { payload } = replaceTokenBucket(7, { bitsPerSecond, burstBytes: 65_536 });
      assert.deepEqual(decodeTokenBucket(payload), { linkIndex: 7, bitsPerSecond });
    }
  });

  test("are never read beyond their end, whatever bytes come", () => {
    const decoders: readonly ((bytes: Uint8Array) => unknown)[] = [
      decodeMessages,
      (bytes) => decodeMessages(bytes).map(decodeOutcome),
      decodeLink,
      decodeAddress,
      decodeRoute,
      decodeRule,
      decodeNeighbour,
      decodeForwarding,
      decodeTokenBucket,
      decodeConnectionCount,
      (bytes) => decodeConnection(0x100, bytes),
      (bytes) => decodeChain(bytes, 0xa03),
      (bytes) => decodeFilterRule(bytes, 0xa06),
      (bytes) => decodeSet(bytes, 0xa09),
      (bytes) => decodeElementKinds(bytes, 0xa0c),
    ];
    const samples = [
      createVxlan({
        kind: "vxlan",
        name: "hdvxlan",
        mtu: 1450,
        mac: "02:00:00:00:00:01",
        vni: 4096,
        port: 4789,
        local: "192.0.2.1",
      }).payload,
      replaceForwarding({ linkIndex: 1, mac: "02:00:00:00:00:02", remote: "192.0.2.2" }).payload,
      replaceTokenBucket(1, { bitsPerSecond: 1e12, burstBytes: 65_536 }).payload,
      concat(
        ...[Uint8Array.of(1, 0, 0, 0), text(1, "guard"), text(2, "forward")],
        nest(4, nest(1, text(1, "payload"), nest(2, u32(1, 1), u32(2, 2)))),
      ),
    ];
    const damaged = fc
      .tuple(fc.constantFrom(...samples), fc.nat(200), fc.nat(255), fc.nat(200))
      .map(([sample, at, byte, length]) => {
        const bytes = sample.slice(0, length);
        if (at < bytes.length) bytes[at] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (bytes) => {
        for (const decode of decoders) {
          try {
            decode(bytes);
          } catch (error) {
            assert.ok(error instanceof MeshError, String(error));
            assert.equal(error.code, "wire.netlink.malformed");
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
