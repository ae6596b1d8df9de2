import assert from "node:assert/strict";
import { fstatSync, openSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { listen } from "./observe/admin.ts";
import { inherit, renderLegacy } from "./succession.ts";

describe("a successor", () => {
  test("that cannot take all sockets over keeps none of them open", async () => {
    const path = join(tmpdir(), `heddle-succession-${process.pid}.sock`);
    const sockets = new Map([
      ["0.0.0.0:15001", 20],
      ["0.0.0.0:15006", 21],
      ["127.0.0.1:15000", 22],
    ]);
    const predecessor = createServer((_, response) =>
      response.end(renderLegacy({ sockets, serverFirst: [] })),
    );
    await listen(predecessor, { path });
    const taken: number[] = [];
    const take = (descriptor: number): number => {
      if (descriptor === 22) throw new Error("the predecessor closed it meanwhile");
      const own = openSync("/dev/null", "r");
      taken.push(own);
      return own;
    };
    try {
      await assert.rejects(inherit(path, take), { code: "proxy.succession", retryable: true });
    } finally {
      predecessor.close();
    }
    assert.equal(taken.length, 2);
    for (const own of taken) assert.throws(() => fstatSync(own), { code: "EBADF" });
  });
});
