/** Smooth weighted round robin: every host in proportion to its weight, never in bursts. Starts anywhere. */

import type { Random } from "../../../base/random.ts";
import type { Candidate, Picker } from "./picker.ts";

/** `weigh`: what a host's weight is at this pick, above 0 somewhere. */
export function smoothRounds<C extends Candidate>(
  hosts: readonly C[],
  weigh: (host: C) => number,
  random: Random,
): Picker<C> {
  const [first] = hosts;
  const credits = hosts.map((host) => random() * weigh(host));
  return {
    pick() {
      let total = 0;
      let best = 0;
      for (let i = 0; i < hosts.length; i++) {
        const host = hosts[i];
        const weight = host === undefined ? 0 : weigh(host);
        total += weight;
        credits[i] = (credits[i] ?? 0) + weight;
        if ((credits[i] ?? 0) > (credits[best] ?? 0)) best = i;
      }
      credits[best] = (credits[best] ?? 0) - total;
      return hosts[best] ?? first;
    },
  };
}
