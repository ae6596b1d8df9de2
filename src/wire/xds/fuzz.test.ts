/** A short run of what `npm run fuzz -- xds` does at length. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz } from "../../../test/fuzz/target.ts";
import { xdsMessages, xdsResources } from "../../../test/fuzz/xds.ts";

for (const target of [xdsMessages, xdsResources]) {
  test(`${target.name} survive mutation, and print as they were read`, () => {
    const { accepted } = fuzz(target, 5_000, 20_260_101);
    // Fuzzing that only meets refusals tests nothing: some inputs must get all the way through.
    assert.ok(accepted > 50, `only ${accepted} inputs were accepted`);
  });
}
