/** Records of which some fields exclude each other (`oneof` in Istio's messages). */

import { type Check, refine } from "../schema/check.ts";
import { record } from "../schema/record.ts";

/** A record with one of `keys` at most; at least `least` of them. */
export function onlyOne(
  fields: Readonly<Record<string, Check>>,
  keys: readonly string[],
  least: 0 | 1,
): Check {
  return refine<Readonly<Record<string, unknown>>>(record(fields), (value, at) => {
    const given = keys.filter((key) => value[key] !== undefined && value[key] !== null);
    if (given.length > 1 || given.length < least) {
      const wanted = least === 1 ? "exactly" : "at most";
      const got = given.length === 0 ? "none" : given.join(", ");
      at.error(`must have ${wanted} one of ${keys.join(", ")}, got ${got}`);
    }
  });
}
