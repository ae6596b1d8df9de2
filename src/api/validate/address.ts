/** Addresses and prefixes of either family. What can act on one family only says so itself. */

import { isIp, parseCidr } from "../../base/ip.ts";
import type { Check } from "./schema/check.ts";
import { text } from "./schema/scalar.ts";

export const ipAddress: Check = text((value) =>
  isIp(value) ? undefined : "must be an IP address",
);

/** `10.0.0.0/8`: what is wrong with it, undefined where nothing is. */
export function cidrProblem(value: string): string | undefined {
  try {
    parseCidr(value);
    return undefined;
  } catch (error) {
    const why = error instanceof Error ? error.message.split(": ").slice(1).join(": ") : "";
    return `must be a CIDR such as 10.0.0.0/8${why === "" ? "" : ` (${why})`}`;
  }
}

export const cidr: Check = text(cidrProblem);

/** An address or a CIDR, as Istio's ipBlocks are. */
export const addressOrCidr: Check = text((value) =>
  isIp(value)
    ? undefined
    : cidrProblem(value) && "must be an IP address or a CIDR such as 10.0.0.0/8",
);
