/** A short run of what `npm run fuzz -- dns` does at length. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { dnsMessages } from "../../../test/fuzz/dns.ts";
import { fuzz } from "../../../test/fuzz/target.ts";

test("dns messages survive mutation, and print as they were read", () => {
  const { accepted } = fuzz(dnsMessages, 10_000, 20_260_101);
  // Fuzzing that only meets refusals tests nothing: some inputs must get all the way through.
  assert.ok(accepted > 500, `only ${accepted} inputs were accepted`);
});
