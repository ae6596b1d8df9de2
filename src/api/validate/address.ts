/** Addresses and prefixes. IPv6 is recognised, so that dual-stack manifests pass; what acts on it says so itself. */

import { isIpv4, parseCidr } from "../../base/ip.ts";
import type { Check } from "./schema/check.ts";
import { text } from "./schema/scalar.ts";

export function isIpv6(value: string): boolean {
  const [head = "", tail, ...more] = value.split("::");
  if (more.length > 0) return false;
  const groups = (part: string) => (part === "" ? [] : part.split(":"));
  const all = [...groups(head), ...groups(tail ?? "")];
  const last = all.at(-1) ?? "";
  const dotted = last.includes(".");
  if (dotted && !isIpv4(last)) return false;
  const plain = dotted ? all.slice(0, -1) : all;
  const length = plain.length + (dotted ? 2 : 0);
  return (
    plain.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group)) &&
    (tail === undefined ? length === 8 : length < 8)
  );
}

export const ipAddress: Check = text((value) =>
  isIpv4(value) || isIpv6(value) ? undefined : "must be an IP address",
);

/** `10.0.0.0/8`: what is wrong with it, undefined where nothing is. */
export function cidrProblem(value: string): string | undefined {
  const slash = value.indexOf("/");
  const prefix = value.slice(slash + 1);
  if (slash > 0 && isIpv6(value.slice(0, slash))) {
    return /^\d{1,3}$/.test(prefix) && Number(prefix) <= 128
      ? undefined
      : "must be a CIDR, with a prefix length of 0..128";
  }
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
  isIpv4(value) || isIpv6(value)
    ? undefined
    : cidrProblem(value) && "must be an IP address or a CIDR such as 10.0.0.0/8",
);
