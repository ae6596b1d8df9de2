import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MeshError } from "../../base/error.ts";
import { seededRandom } from "../../base/random.ts";
import { encodeMessage, MessageReader } from "./messages.ts";
import { readStatus } from "./status.ts";

describe("messages of gRPC", () => {
  test("are the same, however the body is cut", () => {
    const random = seededRandom(3);
    const messages = [0, 1, 5, 300, 70_000, 0, 2].map((length) =>
      Uint8Array.from({ length }, () => random() * 256),
    );
    const body = Buffer.concat(messages.map(encodeMessage));
    for (const most of [1, 4, 5, 6, 1_000, body.length]) {
      const reader = new MessageReader(70_000);
      const read: Uint8Array[] = [];
      for (let at = 0; at < body.length; ) {
        const next = Math.min(body.length, at + 1 + Math.floor(random() * most));
        reader.read(body, at, next, (message) => read.push(message));
        at = next;
      }
      assert.deepEqual(
        read.map((message) => Buffer.from(message).toString("hex")),
        messages.map((message) => Buffer.from(message).toString("hex")),
      );
    }
  });

  test("are the reader's own: what it read from may be written over", () => {
    const body = encodeMessage(Uint8Array.of(1, 2, 3));
    let read: Uint8Array | undefined;
    new MessageReader(10).read(body, 0, body.length, (message) => {
      read = message;
    });
    body.fill(0);
    assert.deepEqual(read, Uint8Array.of(1, 2, 3));
  });

  test("that are compressed or too long are refused, before room is made for them", () => {
    const refuse = (prefix: readonly number[], message: RegExp) =>
      assert.throws(
        () => new MessageReader(1_000).read(Uint8Array.from(prefix), 0, 5, () => assert.fail()),
        (error) =>
          error instanceof MeshError &&
          error.code === "grpc.malformed" &&
          message.test(error.message),
      );
    refuse([1, 0, 0, 0, 1], /flag 1, want 0/);
    refuse([0, 0, 0, 3, 233], /1001 bytes, want at most 1000/);
    refuse([0, 255, 255, 255, 255], /4294967295 bytes/);
  });
});

describe("a status of gRPC", () => {
  const cases: readonly (readonly [string, ReturnType<typeof readStatus>])[] = [
    ["grpc-status: 0\r\n", { name: "ok", message: "" }],
    [
      "grpc-status: 16\r\ngrpc-message: who%20are you%3F\r\n",
      { name: "unauthenticated", message: "who are you?" },
    ],
    ["grpc-message: 50 %\r\ngrpc-status: 14\r\n", { name: "unavailable", message: "50 %" }],
    ["grpc-status: 99\r\n", { name: "unknown", message: "" }],
    ["grpc-status: -1\r\n", { name: "unknown", message: "" }],
    ["x-grpc-status: 0\r\n", undefined],
    ["", undefined],
  ];
  for (const [lines, want] of cases) {
    test(`is read from ${JSON.stringify(lines)}`, () => assert.deepEqual(readStatus(lines), want));
  }
});
