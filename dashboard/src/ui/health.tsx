/** How something is: a word and a shape beside the colour, so that colour alone tells nothing. */

import type { ReactElement } from "react";
import type { EdgeHealth } from "../../../src/model/observation.ts";
import { Icon, type IconName } from "./icon.tsx";

const looks: Readonly<Record<EdgeHealth, { readonly icon: IconName; readonly word: string }>> = {
  healthy: { icon: "check", word: "healthy" },
  degraded: { icon: "warning", word: "degraded" },
  failing: { icon: "cross", word: "failing" },
  refused: { icon: "ban", word: "refused" },
  idle: { icon: "idle", word: "idle" },
};

/** Worst first. */
const order: readonly EdgeHealth[] = ["failing", "refused", "degraded", "healthy", "idle"];

export function bySeverity(a: EdgeHealth, b: EdgeHealth): number {
  return order.indexOf(a) - order.indexOf(b);
}

export function healthWord(health: EdgeHealth): string {
  return looks[health].word;
}

export function HealthIcon({ health }: { readonly health: EdgeHealth }): ReactElement {
  return (
    <span className={`health health-${health}`}>
      <Icon name={looks[health].icon} label={looks[health].word} />
    </span>
  );
}

export function HealthBadge({ health }: { readonly health: EdgeHealth }): ReactElement {
  return (
    <span className={`badge health-${health}`}>
      <Icon name={looks[health].icon} />
      {looks[health].word}
    </span>
  );
}
