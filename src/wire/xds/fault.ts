/** Injected faults, as the per-route configuration of Envoy's fault filter. */

import type { Fault } from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, given, required } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { decodePercent, encodePercent } from "./percent.ts";

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
        ...("status" in fault.abort
          ? { httpStatus: fault.abort.status }
          : { grpcStatus: fault.abort.grpcStatus }),
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
        ...(abort.grpcStatus === undefined
          ? { status: required(abort.httpStatus, `${path}.abort.http_status`) }
          : { grpcStatus: abort.grpcStatus }),
      },
    ),
  };
}
