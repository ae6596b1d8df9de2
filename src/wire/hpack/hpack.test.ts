import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "../../../test/property.ts";
import { HpackDecoder, type HpackProblem } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import { Output } from "./output.ts";
import type { Field } from "./static-table.ts";

const stories = join(import.meta.dirname, "../../../../shared/conformance/hpack");

class Fields {
  readonly lines: string[] = [];
  readonly sensitive: string[] = [];
  take(field: Field): void {
    this.lines.push(`${field.name}: ${field.value}`);
    if (field.isSensitive) this.sensitive.push(field.name);
  }
}

function decoded(decoder: HpackDecoder, bytes: Uint8Array): readonly string[] {
  const fields = new Fields();
  assert.equal(decoder.decode(bytes, 0, bytes.length, fields), undefined);
  return fields.lines;
}

function problemOf(hex: string): HpackProblem | undefined {
  const bytes = Buffer.from(hex, "hex");
  return new HpackDecoder().decode(bytes, 0, bytes.length, new Fields());
}

function encoded(encoder: HpackEncoder, lines: readonly string[]): Uint8Array {
  const out = new Output();
  encoder.beginBlock(out);
  for (const line of lines) encoder.encodeLine(out, line);
  return out.take();
}

interface Story {
  readonly cases: readonly {
    readonly wire: string;
    readonly header_table_size?: number;
    readonly headers: readonly Readonly<Record<string, string>>[];
  }[];
}

describe("HPACK stories recorded from nghttp2", { skip: skipWithout(stories) }, () => {
  const folders = existsSync(stories) ? readdirSync(stories) : [];
  const files = folders.flatMap((folder) =>
    readdirSync(join(stories, folder)).map((file) => join(stories, folder, file)),
  );
  test(`${files.length} stories decode, and decode again after our encoder`, (t) => {
    let blocks = 0;
    for (const file of files) {
      const story = JSON.parse(readFileSync(file, "utf8")) as Story;
      const decoder = new HpackDecoder();
      const [encoder, second] = [new HpackEncoder(), new HpackDecoder()];
      for (const { wire, header_table_size: size, headers } of story.cases) {
        if (size !== undefined) {
          decoder.setLimit(size);
          encoder.setLimit(size);
          second.setLimit(size);
        }
        const wanted = headers.map((field) => {
          const [[name, value] = ["", ""]] = Object.entries(field);
          return `${name}: ${value}`;
        });
        assert.deepEqual(decoded(decoder, Buffer.from(wire, "hex")), wanted, file);
        assert.deepEqual(decoded(second, encoded(encoder, wanted)), wanted, file);
        assert.equal(encoder.tableBytes, second.tableBytes);
        blocks++;
      }
    }
    t.diagnostic(`${blocks} header blocks of ${files.length} stories ran, all passed`);
  });
});

describe("a header block", () => {
  for (const [name, hex, problem] of [
    ["with an index beyond the tables", "be", "index-out-of-range"],
    ["with index zero", "80", "index-out-of-range"],
    ["that names a field beyond the tables", "7f0000", "index-out-of-range"],
    ["with an integer without end", "ffffffffffffffffffff", "integer-too-large"],
    ["that is cut within an integer", "ff80", "block-cut"],
    ["that is cut within an index, behind a field", "410161ff", "block-cut"],
    ["that is cut within a string", "400a6375", "block-cut"],
    ["with the end-of-string symbol", "0084ffffffff00", "bad-huffman-code"],
    ["padded with zeros", "008200000", "bad-huffman-code"],
    ["padded with a whole byte", "00821fff", "bad-huffman-code"],
    ["with a size update behind a field", "8220", "size-update-misplaced"],
    ["with a size update above the limit", "3fe21f", "size-update-too-large"],
  ] as const) {
    test(`${name} is refused`, () =>
      assert.equal(problemOf(hex.padEnd(2 * Math.ceil(hex.length / 2), "0")), problem));
  }

  test("that is damaged anywhere gives fields or a problem, and never more memory than its table", () => {
    const block = encoded(new HpackEncoder(), [
      ":method: GET",
      "accept: */*",
      "x-long: ".padEnd(300, "y"),
    ]);
    fc.assert(
      fc.property(fc.nat(block.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const damaged = Uint8Array.from(block);
        damaged[at] = byte;
        const decoder = new HpackDecoder();
        decoder.decode(damaged, 0, damaged.length, new Fields());
        assert(decoder.tableBytes <= 4096);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("the encoder", () => {
  test("sends a field that repeats as one byte, from its third time on", () => {
    const encoder = new HpackEncoder();
    const lengths = [1, 2, 3].map(() => encoded(encoder, ["user-agent: curl/8"]).length);
    assert.deepEqual(lengths, [9, 8, 1]);
  });

  test("keeps its table for what repeats, however many ids pass through", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    for (let i = 0; i < 3; i++) decoded(decoder, encoded(encoder, ["x-team: payments"]));
    for (let i = 0; i < 1_000; i++) decoded(decoder, encoded(encoder, [`x-request-id: ${i}`]));
    assert.equal(encoded(encoder, ["x-team: payments"]).length, 1);
  });

  test("puts no credential into a table and says so to the next hop", () => {
    const encoder = new HpackEncoder();
    const fields = new Fields();
    for (let i = 0; i < 3; i++) {
      const block = encoded(encoder, ["authorization: Bearer x"]);
      assert.equal(new HpackDecoder().decode(block, 0, block.length, fields), undefined);
    }
    assert.equal(encoder.tableBytes, 0);
    assert.deepEqual(fields.sensitive, ["authorization", "authorization", "authorization"]);
  });

  test("and the decoder keep the same table through any fields and table sizes", () => {
    const line = fc
      .tuple(
        fc.constantFrom(":path", "a", "bb", "x-request-id", "cookie"),
        fc.string({ maxLength: 60 }),
      )
      .map(([name, value]) => `${name}: ${Buffer.from(value).toString("latin1")}`);
    const step = fc.oneof(fc.array(line, { maxLength: 8 }), fc.nat(300));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const [encoder, decoder] = [new HpackEncoder(), new HpackDecoder()];
        for (const one of steps) {
          if (typeof one === "number") {
            decoder.setLimit(one);
            encoder.setLimit(one);
          } else assert.deepEqual(decoded(decoder, encoded(encoder, one)), one);
        }
      }),
      { numRuns: 300 },
    );
  });
});

function skipWithout(folder: string): string | false {
  return existsSync(folder) ? false : `${folder} is not there`;
}
