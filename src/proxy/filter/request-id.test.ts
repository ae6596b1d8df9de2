import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newRequestIdLine } from "./request-id.ts";

describe("a request's identity", () => {
  test("is a random UUID, and nobody else's, however many are asked for", () => {
    const line =
      /^x-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\r\n$/;
    const lines = Array.from({ length: 1_000 }, newRequestIdLine);
    for (const one of lines) assert.match(one, line);
    assert.equal(new Set(lines).size, 1_000);
  });
});
