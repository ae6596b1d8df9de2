/** Twenty seconds of `scripts/soak-proxy.sh`. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { soak } from "../soak/soak.ts";
import { needsRoot } from "./kernel-scratch.ts";

describe("two sidecars while everything about them changes", { skip: needsRoot }, () => {
  test("fail no request", async () => {
    const { failures, answered, upgrades } = await soak(20);
    assert.deepEqual(failures, []);
    assert.equal(upgrades, 2);
    for (const kind of ["kept", "fresh", "http2", "tunnel"]) assert.ok(answered[kind], kind);
  });
});
