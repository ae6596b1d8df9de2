import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  COMPRESSION_ERROR,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
  STREAM_CLOSED,
} from "./protocol.ts";
import { frame, get, headers, pair } from "./testing.ts";

describe("a client whose server", () => {
  const ok = () => headers(1, [":status: 200"], 0x4);
  const violations: readonly (readonly [string, () => readonly Uint8Array[], string])[] = [
    [
      "answers a stream that was never opened",
      () => [headers(5, [":status: 200"], 0x5)],
      `fatal ${PROTOCOL_ERROR}`,
    ],
    [
      "opens a stream of its own",
      () => [headers(2, [":status: 200"], 0x5)],
      `fatal ${PROTOCOL_ERROR}`,
    ],
    ["pushes", () => [frame(5, 4, 1, [0, 0, 0, 2, 0x88])], `fatal ${PROTOCOL_ERROR}`],
    ["sends no status", () => [headers(1, ["x: y"], 0x5)], `1 reset ${PROTOCOL_ERROR}`],
    [
      "sends two statuses",
      () => [headers(1, [":status: 200", ":status: 200"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends a request's pseudo-header",
      () => [headers(1, [":status: 200", ":path: /"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends a status that is none",
      () => [headers(1, [":status: 2000"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends Connection",
      () => [headers(1, [":status: 200", "connection: close"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends an upper-case name",
      () => [headers(1, [":status: 200", "X-Y: z"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    ["switches protocols", () => [headers(1, [":status: 101"], 0x4)], `1 reset ${PROTOCOL_ERROR}`],
    [
      "ends with an interim answer",
      () => [headers(1, [":status: 100"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    ["sends data before its head", () => [frame(0, 0, 1, [1])], `1 reset ${PROTOCOL_ERROR}`],
    ["sends data on an idle stream", () => [frame(0, 0, 9, [1])], `fatal ${PROTOCOL_ERROR}`],
    [
      "sends more than Content-Length",
      () => [headers(1, [":status: 200", "content-length: 1"], 0x4), frame(0, 1, 1, [1, 2])],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends less than Content-Length",
      () => [headers(1, [":status: 200", "content-length: 3"], 0x4), frame(0, 1, 1, [1, 2])],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "names a length and ends with its head",
      () => [headers(1, [":status: 200", "content-length: 3"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends trailers that do not end",
      () => [ok(), headers(1, ["x: y"], 0x4)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "sends a status in trailers",
      () => [ok(), headers(1, [":status: 200"], 0x5)],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "goes on after the end",
      () => [headers(1, [":status: 200"], 0x5), headers(1, [":status: 200"], 0x5)],
      `fatal ${STREAM_CLOSED}`,
    ],
    [
      "breaks a header block off",
      () => [headers(1, [":status: 200"], 0x0), frame(6, 0, 0, new Array(8).fill(0))],
      `fatal ${PROTOCOL_ERROR}`,
    ],
    ["continues no header block", () => [frame(9, 4, 1, [0x88])], `fatal ${PROTOCOL_ERROR}`],
    ["sends a bad index", () => [frame(1, 5, 1, [0xff, 0x7f])], `fatal ${COMPRESSION_ERROR}`],
    [
      "sends a frame that is too long",
      () => [Uint8Array.of(0x00, 0x40, 0x01, 0, 0, 0, 0, 0, 1)],
      `fatal ${FRAME_SIZE_ERROR}`,
    ],
    ["sends SETTINGS on a stream", () => [frame(4, 0, 1, [])], `fatal ${PROTOCOL_ERROR}`],
    ["sends half a setting", () => [frame(4, 0, 0, [1, 2, 3])], `fatal ${FRAME_SIZE_ERROR}`],
    ["allows push", () => [frame(4, 0, 0, [0, 2, 0, 0, 0, 1])], `fatal ${PROTOCOL_ERROR}`],
    [
      "sets a window beyond 2^31",
      () => [frame(4, 0, 0, [0, 4, 0xff, 0xff, 0xff, 0xff])],
      `fatal ${FLOW_CONTROL_ERROR}`,
    ],
    [
      "opens the window by nothing",
      () => [frame(8, 0, 0, [0, 0, 0, 0])],
      `fatal ${PROTOCOL_ERROR}`,
    ],
    [
      "opens a stream's window by nothing",
      () => [frame(8, 0, 1, [0, 0, 0, 0])],
      `1 reset ${PROTOCOL_ERROR}`,
    ],
    [
      "opens the window too far",
      () => [frame(8, 0, 0, [0x7f, 0xff, 0xff, 0xff])],
      `fatal ${FLOW_CONTROL_ERROR}`,
    ],
    [
      "sends a PING of seven bytes",
      () => [frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7])],
      `fatal ${FRAME_SIZE_ERROR}`,
    ],
    ["resets an idle stream", () => [frame(3, 0, 9, [0, 0, 0, 0])], `fatal ${PROTOCOL_ERROR}`],
    ["pads beyond the frame", () => [ok(), frame(0, 8, 1, [9, 1])], `fatal ${PROTOCOL_ERROR}`],
  ];
  for (const [name, frames, wanted] of violations) {
    test(`${name} loses just that`, () => {
      const { client } = pair();
      client.connection.request("one", get, "", true);
      for (const bytes of frames()) client.read(bytes);
      assert.equal(client.last, wanted);
    });
  }
});
