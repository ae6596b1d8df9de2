import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { canonicalLines, lineValue } from "./lines.ts";

describe("lines", () => {
  test("of HTTP/1.1 lose case, white space and what is about its connection", () => {
    const lines =
      "Host: a\r\nX-Y:  z \r\nConnection: x\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nempty:\r\n";
    assert.equal(canonicalLines(lines), "x-y: z\r\nempty: \r\n");
  });

  test("are found by their whole name", () => {
    assert.equal(lineValue("xgrpc-status: 1\r\ngrpc-status: 2\r\n", "grpc-status"), "2");
    assert.equal(lineValue("grpc-status: 3\r\nx: y\r\n", "grpc-status"), "3");
    assert.equal(lineValue("xgrpc-status: 1\r\n", "grpc-status"), undefined);
    assert.equal(lineValue("", "grpc-status"), undefined);
  });
});
