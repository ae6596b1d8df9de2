/** A short run of what `npm run fuzz -- "tls records"` does at length. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz } from "../../../test/fuzz/target.ts";
import { tlsRecords } from "../../../test/fuzz/tls-records.ts";

test("records of TLS survive mutation, whole and cut", () => {
  const { accepted } = fuzz(tlsRecords, 20_000, 20_260_101);
  // Fuzzing that only meets refusals tests nothing: some inputs must get all the way through.
  assert.ok(accepted > 400, `only ${accepted} inputs were accepted`);
});
