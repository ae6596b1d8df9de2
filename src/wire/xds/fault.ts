/** Injected faults, as the per-route configuration of Envoy's fault filter. Percentages keep four decimals. */

import type { Fault } from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, given, required } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { DenominatorType } from "./gen/messages.ts";

export const faultFilterName = "envoy.filters.http.fault";

export function encodeFault(fault: Fault): wire.HttpFault {
  return {
    ...given(
      "delay",
      fault.delay && {
        fixedDelay: encodeDuration(fault.delay.fixedMs),
        percentage: encodePercent(fault.delay.percent),
      },
    ),
    ...given(
      "abort",
      fault.abort && {
        httpStatus: fault.abort.status,
        percentage: encodePercent(fault.abort.percent),
      },
    ),
  };
}

export function decodeFault(fault: wire.HttpFault, path: string): Fault {
  const { delay, abort } = fault;
  return {
    ...given(
      "delay",
      delay && {
        percent: decodePercent(delay.percentage),
        fixedMs: required(decodeDuration(delay.fixedDelay), `${path}.delay.fixed_delay`),
      },
    ),
    ...given(
      "abort",
      abort && {
        percent: decodePercent(abort.percentage),
        status: required(abort.httpStatus, `${path}.abort.http_status`),
      },
    ),
  };
}

/** What one percent is in units of each denominator. */
const unitsPerPercent: Readonly<Record<number, number>> = {
  [DenominatorType.HUNDRED]: 1,
  [DenominatorType.TEN_THOUSAND]: 100,
  [DenominatorType.MILLION]: 10_000,
};

function encodePercent(percent: number): wire.FractionalPercent {
  return { numerator: Math.round(percent * 10_000), denominator: DenominatorType.MILLION };
}

function decodePercent(percent: wire.FractionalPercent | undefined): number {
  const units = unitsPerPercent[percent?.denominator ?? 0] ?? 1;
  return (percent?.numerator ?? 0) / units;
}
