/** Where two answers differ, by name. What is another value each time, or says which proxy it is, is left out. */

import type { Answer } from "./asking.ts";

export interface Difference {
  readonly envoy: string | undefined;
  readonly ours: string | undefined;
}

/** Not compared, whatever they say, and why. */
export const ignored: Readonly<Record<string, string>> = {
  "field date": "the time",
  "field server": "each proxy's own name",
  "field x-envoy-upstream-service-time":
    "a duration, which nobody in a mesh reads; ours is in metrics and access log",
};

/** By name. Where the statuses differ they are all that is told: the rest is of two different answers. */
export function differencesOf(envoy: Answer, ours: Answer): ReadonlyMap<string, Difference> {
  const found = new Map<string, Difference>();
  const statuses = { envoy: envoy.get("status"), ours: ours.get("status") };
  if (statuses.envoy !== statuses.ours) return found.set("status", statuses);
  for (const name of new Set([...envoy.keys(), ...ours.keys()])) {
    if (Object.hasOwn(ignored, name)) continue;
    const each = { envoy: settled(envoy.get(name)), ours: settled(ours.get(name)) };
    if (each.envoy !== each.ours) found.set(name, each);
  }
  return found;
}

/** Identifiers are new each time; that there is one is compared. */
function settled(value: string | undefined): string | undefined {
  return value?.replace(
    /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g,
    "<identifier>",
  );
}
