import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Output } from "../hpack/output.ts";
import { Http2Connection } from "./connection.ts";
import type { Http2Events } from "./events.ts";
import { FrameReader, type FrameSink, read32 } from "./frame-reader.ts";
import { putFrameHeader, putSettings } from "./frame-writer.ts";
import { clientPreface, defaultFrameBytes } from "./protocol.ts";
import { coreVocabulary } from "./vocabulary.ts";

const folder = join(import.meta.dirname, "../../../../shared/conformance/http2-frames");

interface Case {
  readonly description: string;
  readonly wire: string;
  readonly error: readonly number[] | null;
  readonly frame: {
    readonly length: number;
    readonly type: number;
    readonly flags: number;
    readonly stream_identifier: number;
    readonly frame_payload: Readonly<Record<string, unknown>>;
  } | null;
}

function cases(): readonly (Case & { readonly name: string })[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => ({
      name,
      ...(JSON.parse(readFileSync(join(folder, name), "utf8")) as Case),
    }));
}

/** What the reader made of one frame, in the corpus's words. */
class Seen implements FrameSink {
  frame: { type: number; flags: number; streamId: number; content: Uint8Array } | undefined;
  length = 0;
  onDataFrame(_streamId: number, length: number): boolean {
    this.length = length;
    return true;
  }
  onDataBytes(
    streamId: number,
    flags: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    return this.onFrame(0, flags, streamId, bytes, start, end);
  }
  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    this.frame = { type, flags, streamId, content: Uint8Array.from(bytes.subarray(start, end)) };
    return true;
  }
  onBadFrame(code: number): void {
    assert.fail(`error ${code}`);
  }
}

function contentOf(type: number, payload: Readonly<Record<string, unknown>>): Buffer {
  const text = (name: string) => Buffer.from(String(payload[name] ?? ""));
  const number = (value: unknown) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(Number(value));
    return bytes;
  };
  switch (type) {
    case 0:
      return text("data");
    case 1:
    case 9:
      return text("header_block_fragment");
    case 2: {
      const dependency = Number(payload["stream_dependency"]);
      const first = number(dependency + (payload["exclusive"] === true ? 2 ** 31 : 0));
      return Buffer.concat([first, Buffer.of(Number(payload["weight"]) - 1)]);
    }
    case 3:
      return number(payload["error_code"]);
    case 4: {
      const out = new Output();
      putSettings(out, payload["settings"] as [number, number][]);
      return Buffer.from(out.take().subarray(9));
    }
    case 5:
      return Buffer.concat([number(payload["promised_stream_id"]), text("header_block_fragment")]);
    case 6:
      return text("opaque_data");
    case 7:
      return Buffer.concat([
        number(payload["last_stream_id"]),
        number(payload["error_code"]),
        text("additional_debug_data"),
      ]);
    default:
      return number(payload["window_size_increment"]);
  }
}

function errorsOf(role: "client" | "server", wire: Buffer): readonly number[] {
  const codes: number[] = [];
  const nothing = () => {};
  const events: Http2Events<undefined> = {
    onHead: nothing,
    onData: nothing,
    onTrailers: nothing,
    onReset: (_stream, code) => codes.push(code),
    onHeadTooLarge: nothing,
    onDrained: nothing,
    onPong: nothing,
    onGoaway: nothing,
    onFatal: (code) => codes.push(code),
  };
  const connection = new Http2Connection(role, events, { vocabulary: coreVocabulary });
  const out = new Output();
  if (role === "server") {
    out.reserve(clientPreface.length);
    out.putText(clientPreface);
  }
  putSettings(out, []);
  if (role === "server") {
    // Streams 1 and 2 are what the corpus talks about; a request opens the former.
    const block = Buffer.from("828684410161", "hex");
    putFrameHeader(out, block.length, 1, 4, 1);
    out.append(block, 0, block.length);
  }
  const before = out.take();
  connection.read(before, 0, before.length, 1);
  connection.read(wire, 0, wire.length, 1);
  return codes;
}

describe("the http2jp frame cases", {
  skip: existsSync(folder) ? false : `${folder} is not there`,
}, () => {
  const all = cases();
  for (const one of all) {
    const wire = Buffer.from(one.wire, "hex");
    const { frame } = one;
    if (frame !== null) {
      test(`${one.name}: ${one.description} decodes and encodes, however it is cut`, () => {
        const wanted = contentOf(frame.type, frame.frame_payload);
        for (let cut = 0; cut <= wire.length; cut++) {
          const seen = new Seen();
          const reader = new FrameReader(seen, defaultFrameBytes);
          const parts: Uint8Array[] = [];
          for (const [from, to] of [
            [0, cut],
            [cut, wire.length],
          ] as const) {
            reader.read(wire, from, to);
            if (seen.frame !== undefined && frame.type === 0) parts.push(seen.frame.content);
            if (frame.type === 0 && seen.frame !== undefined)
              seen.frame.content = new Uint8Array(0);
          }
          assert.equal(seen.frame?.type, frame.type);
          assert.equal(seen.frame?.flags, frame.flags);
          assert.equal(seen.frame?.streamId, frame.stream_identifier);
          const content: Uint8Array | undefined =
            frame.type === 0 ? Buffer.concat(parts) : seen.frame?.content;
          assert.deepEqual(Buffer.from(content ?? []), wanted, `cut at ${cut}`);
          assert.equal(reader.isInFrame, false);
        }
        const out = new Output();
        putFrameHeader(out, frame.length, frame.type, frame.flags, frame.stream_identifier);
        assert.deepEqual(Buffer.from(out.take()), wire.subarray(0, 9));
        assert.equal(read32(wire, 5), frame.stream_identifier);
      });
    } else {
      test(`${one.name}: ${one.description} is refused`, () => {
        const codes = [...errorsOf("server", wire), ...errorsOf("client", wire)];
        assert(
          codes.some((code) => one.error?.includes(code)),
          `got ${codes}, want ${one.error}`,
        );
      });
    }
  }
});
