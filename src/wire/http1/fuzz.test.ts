/** A short run of what `npm run fuzz -- http1` does at length. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { http1Requests, http1Responses } from "../../../test/fuzz/http1.ts";
import { fuzz } from "../../../test/fuzz/target.ts";

for (const target of [http1Requests, http1Responses]) {
  test(`${target.name} survive mutation, in one piece and cut, and print as they were read`, () => {
    const { accepted } = fuzz(target, 30_000, 20_260_101);
    // Fuzzing that only meets refusals tests nothing: some inputs must get all the way through.
    assert(accepted > 500, `only ${accepted} inputs were accepted`);
  });
}
