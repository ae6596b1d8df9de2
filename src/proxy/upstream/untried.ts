/**
 * Where a request goes whose picks all fell on hosts that it has tried: a balancer that goes by load keeps to a host
 * that nobody has anything under way at, also where that is because it takes nothing.
 */

import type { Random } from "../../base/random.ts";
import type { Host } from "./host.ts";

/** One by chance of those that may be used as well as `picked`; undefined where all have been tried. */
export function untriedBeside(
  picked: Host,
  hosts: Iterable<Host>,
  tried: readonly Host[],
  random: Random,
): Host | undefined {
  const others = [...hosts].filter(
    (host) =>
      host.isUsable &&
      !host.isBeingTried &&
      host.priority === picked.priority &&
      host.weight * host.localityWeight > 0 &&
      !tried.includes(host),
  );
  return others[Math.floor(random() * others.length)];
}
