/** Percentages ⇄ Envoy's fractions. Four decimals are kept. */

import type * as wire from "./gen/message-types.ts";
import { DenominatorType } from "./gen/messages.ts";

/** What one percent is in units of each denominator. */
const unitsPerPercent: Readonly<Record<number, number>> = {
  [DenominatorType.HUNDRED]: 1,
  [DenominatorType.TEN_THOUSAND]: 100,
  [DenominatorType.MILLION]: 10_000,
};

export function encodePercent(percent: number): wire.FractionalPercent {
  return { numerator: Math.round(percent * 10_000), denominator: DenominatorType.MILLION };
}

export function decodePercent(percent: wire.FractionalPercent | undefined): number {
  const units = unitsPerPercent[percent?.denominator ?? 0] ?? 1;
  return (percent?.numerator ?? 0) / units;
}
