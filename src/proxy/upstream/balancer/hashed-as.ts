/** What consistent hashing knows a host by. */

import type { Candidate } from "./picker.ts";

export function hashedAs(host: Candidate): string {
  return host.hashedAs ?? host.key;
}

/** The order of hosts that are at the same point: that of the configuration must not decide. */
export function compareHosts(a: Candidate, b: Candidate): number {
  return compare(hashedAs(a), hashedAs(b)) || compare(a.key, b.key);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
