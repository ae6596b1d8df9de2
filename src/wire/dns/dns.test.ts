import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { present } from "../../base/error.ts";
import { renderIpv4 } from "../../base/ip.ts";
import { ipFromBytes } from "../../base/ip-bytes.ts";
import { decodeMessage } from "./decode.ts";
import { encodeMessage } from "./encode.ts";
import type { DnsMessage, DnsRecord } from "./message.ts";
import { decodeName, parseLabels, renderLabel } from "./name.ts";

// Prototypes as decoders make them, so that deepEqual compares values only.
const plain = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(model, { noNullPrototype: true });
const label = fc.uint8Array({ minLength: 1, maxLength: 12 }).map(renderLabel);
const name = fc.array(label, { maxLength: 5 }).map((labels) => labels.join("."));
const u16 = fc.nat(65_535);
const u32 = fc.nat(0xffff_ffff);
const sixteen = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => present(ipFromBytes(bytes), "address"));
const common = { name, class: u16, ttl: u32 };
const record: fc.Arbitrary<DnsRecord> = fc.oneof(
  plain({ ...common, kind: fc.constant("A" as const), address: u32.map(renderIpv4) }),
  plain({ ...common, kind: fc.constant("AAAA" as const), address: sixteen }),
  plain({ ...common, kind: fc.constantFrom("NS", "CNAME", "PTR"), target: name }),
  plain({ ...common, kind: fc.constant("MX" as const), preference: u16, target: name }),
  plain({
    ...common,
    kind: fc.constant("SRV" as const),
    priority: u16,
    weight: u16,
    port: u16,
    target: name,
  }),
  plain({
    ...common,
    kind: fc.constant("SOA" as const),
    primary: name,
    mailbox: name,
    serial: u32,
    refresh: u32,
    retry: u32,
    expire: u32,
    minimum: u32,
  }),
  plain({
    ...common,
    kind: fc.constant("other" as const),
    type: fc.constantFrom(16, 41, 65, 257),
    bytes: fc.uint8Array({ maxLength: 40 }),
  }),
);
const message: fc.Arbitrary<DnsMessage> = plain({
  id: u16,
  isResponse: fc.boolean(),
  opcode: fc.nat(15),
  authoritative: fc.boolean(),
  truncated: fc.boolean(),
  recursionDesired: fc.boolean(),
  recursionAvailable: fc.boolean(),
  responseCode: fc.nat(15),
  questions: fc.array(plain({ name, type: u16, class: u16 }), { maxLength: 2 }),
  answers: fc.array(record, { maxLength: 4 }),
  authorities: fc.array(record, { maxLength: 2 }),
  // The encoder moves OPT records to the end of the section, so only one that is there already comes back equal.
  additionals: fc.array(
    record.filter((each) => each.kind !== "other" || each.type !== 41),
    { maxLength: 2 },
  ),
});

describe("a DNS message", () => {
  test("comes back from its bytes as it was", () => {
    fc.assert(
      fc.property(message, (value) => {
        assert.deepEqual(decodeMessage(encodeMessage(value)), value);
      }),
    );
  });

  test("that is random bytes is refused with SyntaxError or read, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        try {
          decodeMessage(bytes);
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      }),
    );
  });

  test("that was damaged in one byte or cut short never crashes the decoder", () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.nat(255), fc.boolean(), (value, position, byte, cut) => {
        let bytes = encodeMessage(value);
        const at = position % bytes.length;
        if (cut) bytes = bytes.slice(0, at);
        else bytes[at] = byte;
        try {
          decodeMessage(bytes);
        } catch (error) {
          assert.ok(error instanceof SyntaxError, String(error));
        }
      }),
    );
  });

  test("too large for the asker is cut at a record and says so", () => {
    const answers = Array.from({ length: 60 }, (_, i) => ({
      kind: "A" as const,
      name: "many.shop.svc.cluster.local",
      class: 1,
      ttl: 5,
      address: renderIpv4(i),
    }));
    const opt = {
      kind: "other" as const,
      name: "",
      type: 41,
      class: 1232,
      ttl: 0,
      bytes: new Uint8Array(),
    };
    const bytes = encodeMessage(
      { ...query("many.shop.svc.cluster.local"), answers, additionals: [opt] },
      512,
    );
    assert.ok(bytes.length <= 512);
    const decoded = decodeMessage(bytes);
    assert.equal(decoded.truncated, true);
    assert.ok(decoded.answers.length > 20);
    assert.deepEqual(decoded.answers, answers.slice(0, decoded.answers.length));
    assert.deepEqual(decoded.additionals, [opt]);
  });

  test("writes a name once and points to it afterwards", () => {
    const record = { kind: "A" as const, name: "web.shop", class: 1, ttl: 5, address: "10.0.0.1" };
    const bytes = encodeMessage({ ...query("web.shop"), answers: [record] });
    assert.equal(bytes.length, 12 + 10 + 4 + 2 + 10 + 4);
  });
});

describe("a domain name", () => {
  test("whose pointer points at itself or forward is refused", () => {
    assert.throws(() => decodeName(Uint8Array.of(0xc0, 0), 0), SyntaxError);
    assert.throws(() => decodeName(Uint8Array.of(1, 97, 0xc0, 5, 0, 0), 0), SyntaxError);
    assert.throws(() => decodeName(Uint8Array.of(1, 97, 0xc0, 0), 2), SyntaxError);
  });

  test("with an empty or overlong label, or too long as a whole, is refused", () => {
    assert.throws(() => parseLabels("a..b"), SyntaxError);
    assert.throws(() => parseLabels("a".repeat(64)), SyntaxError);
    assert.throws(() => parseLabels(Array(64).fill("abcd").join(".")), SyntaxError);
  });

  test("may end in a dot", () => {
    assert.deepEqual(parseLabels("a.b."), parseLabels("a.b"));
  });
});

function query(name: string): DnsMessage {
  return {
    id: 7,
    isResponse: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    responseCode: 0,
    questions: [{ name, type: 1, class: 1 }],
    answers: [],
    authorities: [],
    additionals: [],
  };
}
