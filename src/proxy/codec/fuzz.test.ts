/** A short run of what `npm run fuzz -- "http1 chunked"`, `targets` and `grpc` do at length. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { chunkedBodies } from "../../../test/fuzz/chunks.ts";
import { grpcWebText } from "../../../test/fuzz/grpc-web.ts";
import { grpcWords, targets } from "../../../test/fuzz/requests.ts";
import { fuzz } from "../../../test/fuzz/target.ts";

for (const target of [chunkedBodies, targets, grpcWords, grpcWebText]) {
  test(`${target.name} survive mutation, and mean the same on either side`, () => {
    const { accepted } = fuzz(target, 20_000, 20_260_101);
    // Fuzzing that only meets refusals tests nothing: some inputs must get all the way through.
    assert.ok(accepted > 500, `only ${accepted} inputs were accepted`);
  });
}
