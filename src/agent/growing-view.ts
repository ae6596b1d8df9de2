/**
 * A view in parts: ever more of its Services, and all else from the first part on.
 *
 * Ten thousand Services take seconds to compile and to commit, in which this process would do nothing else. Made of
 * parts they take a little more, and whoever waits for an answer has his turn in between.
 */

import type { Clock } from "../base/clock.ts";
import type { NodeView } from "../model/node-view.ts";

/** Of one part: what an answer may have to wait for, several times over. */
const aimMs = 50;
const fewest = 100; // each part also costs what is there already a look

/**
 * Views before the given one, which is not among them; none where it has few Services. How many come more, is by how
 * long the last took.
 */
export function* growingViews(view: NodeView, clock: Clock): Generator<NodeView> {
  const { services } = view;
  let more = fewest;
  for (let count = more; count < services.length; count += more) {
    const start = clock.now();
    yield { ...view, services: services.slice(0, count) };
    const tookMs = Math.max(1, clock.now() - start);
    more = Math.max(fewest, Math.min(more * 2, Math.round((more * aimMs) / tookMs)));
  }
}
