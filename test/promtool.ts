/** Prometheus' own checker of what it is to scrape. */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const program = join(import.meta.dirname, "../build/tools/promtool");

export const skipWithoutPromtool: string | false = existsSync(program)
  ? false
  : "needs build/tools/promtool (npm run setup)";

/** Names that Envoy and Istio gave: dashboards ask for them as they are. */
const namesOfOthers =
  /^(envoy|istio|pilot|citadel)_\S+ (non-counter metrics should not have "_total" suffix|counter metrics should have "_total" suffix|non-histogram and non-summary metrics should not have "_count" suffix|use base unit "seconds" instead of "milliseconds")$/;

/** What is wrong with it, a line each. */
export function complaintsAbout(text: string): readonly string[] {
  const { status, stderr, error } = spawnSync(program, ["check", "metrics"], {
    input: text,
    encoding: "utf8",
  });
  if (error !== undefined) throw error;
  const lines = stderr.split("\n").filter((line) => line !== "" && !namesOfOthers.test(line));
  // 3: it is read, and not as it should be.
  return status === 0 || status === 3 ? lines : [`promtool ended with ${status}`, ...lines];
}
