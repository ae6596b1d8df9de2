/** Where routes lead: destinations, and how a route's traffic is split over them. */

import type { HttpRouteDestination } from "../../istio/networking.ts";
import { plainHost } from "../names.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { integer, portNumber, text } from "../schema/scalar.ts";
import { headerName } from "./match.ts";

export const destination: Check = record({
  "host!": plainHost,
  subset: text((value) => (value === "" ? "must be a non-empty string" : undefined)),
  port: record({ number: portNumber }),
});

const headerValues = mapOf(text(), headerName);
const operations = record({ set: headerValues, add: headerValues, remove: list(headerName) });

export const headerOperations: Check = record({ request: operations, response: operations });

/** The destinations of an HTTP route. */
export const httpDestinations: Check = weighted(
  record({ "destination!": destination, weight: integer(0), headers: headerOperations }),
);

/** The destinations of a TCP or TLS route. */
export const tcpDestinations: Check = weighted(
  record({ "destination!": destination, weight: integer(0) }),
);

/**
 * Istio takes weights as relative, so any that are not all zero mean something; but a split that does not add up to
 * 100 is nearly always a slip, so it is a warning (docs/adr/0003-strict-weights.md).
 */
function weighted(one: Check): Check {
  return refine<readonly HttpRouteDestination[]>(list(one), (destinations, at: Place) => {
    if (destinations.length < 2) return;
    const total = destinations.reduce((sum, { weight = 0 }) => sum + weight, 0);
    if (total === 0) at.error("weights of several destinations must not all be 0");
    else if (total !== 100) at.warning(`weights must sum to 100, got ${total}`);
  });
}
