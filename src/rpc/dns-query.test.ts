import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { queryServer } from "./dns-query.ts";

describe("a question to a name server", () => {
  test("that cannot be reached at all fails, and does not end the process", async () => {
    // A socket is not connected to it without being allowed to: the same as where there is no route.
    const server = { address: "255.255.255.255", port: 53 };
    const question = { name: "a.example", type: 1, class: 1 };
    await assert.rejects(queryServer(server, question, 10_000), /^Error: connect E/);
  });
});
