/** A short run of what `npm run fuzz -- proxy` and `npm run fuzz -- tls` do at length. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { proxyHeaders, tlsHellos } from "../../../test/fuzz/first-bytes.ts";
import { fuzz } from "../../../test/fuzz/target.ts";

for (const target of [proxyHeaders, tlsHellos]) {
  test(`${target.name} survive mutation, whole and cut`, () => {
    const { accepted } = fuzz(target, 20_000, 20_260_101);
    // Fuzzing that only meets refusals tests nothing: some inputs must get all the way through.
    assert.ok(accepted > 400, `only ${accepted} inputs were accepted`);
  });
}
