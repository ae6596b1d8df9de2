/** Faults that a VirtualService's rule asks for. As with Istio, one without a percentage hits nobody. */

import type { HttpRoute } from "../../api/istio/networking.ts";
import { durationMs } from "../../api/validate/duration.ts";
import { grpcStatusNames } from "../../api/validate/istio/fault.ts";
import type { Abort, Fault } from "../../model/proxy-config.ts";

type Written = NonNullable<HttpRoute["fault"]>;

export function faultOf(rule: HttpRoute): { readonly fault?: Fault } {
  const delay = delayOf(rule.fault?.delay);
  const abort = abortOf(rule.fault?.abort);
  if (delay === undefined && abort === undefined) return {};
  return {
    fault: { ...(delay === undefined ? {} : { delay }), ...(abort === undefined ? {} : { abort }) },
  };
}

function delayOf(written: Written["delay"]): Fault["delay"] {
  const percent = percentOf(written);
  const fixedMs = durationMs(written?.fixedDelay ?? "");
  return percent === 0 || fixedMs === undefined ? undefined : { percent, fixedMs };
}

function abortOf(written: Written["abort"]): Abort | undefined {
  const percent = percentOf(written);
  if (percent === 0) return undefined;
  if (written?.httpStatus !== undefined) return { percent, status: written.httpStatus };
  const code = grpcStatusNames.indexOf(written?.grpcStatus ?? "");
  return code < 0 ? undefined : { percent, grpcStatus: code };
}

function percentOf(part: Written["delay"] | Written["abort"]): number {
  return part?.percentage?.value ?? part?.percent ?? 0;
}
