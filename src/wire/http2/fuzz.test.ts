/** A short run of what `npm run fuzz -- http2` does at length. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { hpackBlocks, http2Client, http2Server } from "../../../test/fuzz/http2.ts";
import { fuzz } from "../../../test/fuzz/target.ts";

for (const [target, count] of [
  [hpackBlocks, 20_000],
  [http2Server, 3_000],
  [http2Client, 3_000],
] as const) {
  test(`${target.name} survive mutation, in one piece and cut, within bounds`, () => {
    const { accepted } = fuzz(target, count, 20_260_101);
    // Fuzzing that only meets refusals tests nothing: some inputs must get all the way through.
    assert(accepted > count / 50, `only ${accepted} inputs were accepted`);
  });
}
