/** Injected faults: delays and aborts of a share of a route's requests. */

import { duration } from "../duration.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { record } from "../schema/record.ts";
import { integer, oneOf } from "../schema/scalar.ts";
import { percent, percentage } from "./match.ts";
import { onlyOne } from "./only-one.ts";

/** By code. */
export const grpcStatusNames: readonly string[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** Istio, too, knows the field and takes none. */
const notTaken: Check = (_, at) => at.error("is not taken: use httpStatus or grpcStatus");

export const fault: Check = record({
  delay: shared(
    onlyOne(
      { percentage, percent, fixedDelay: duration(), exponentialDelay: duration() },
      ["fixedDelay", "exponentialDelay"],
      1,
    ),
  ),
  abort: shared(
    onlyOne(
      {
        percentage,
        percent,
        httpStatus: integer(200, 599),
        grpcStatus: oneOf(...grpcStatusNames),
        http2Error: notTaken,
      },
      ["httpStatus", "grpcStatus", "http2Error"],
      1,
    ),
  ),
});

/** With Istio a fault without a percentage hits nobody, which is hardly meant. */
function shared(check: Check): Check {
  return refine<Readonly<Record<string, unknown>>>(check, (value, at: Place) => {
    if (value["percentage"] ?? value["percent"]) return;
    at.field("percentage").warning("is required for the fault to hit anybody");
  });
}
