/**
 * Istio's annotations of a Pod that say what of its TCP goes past its sidecar, as they are written: lists with commas,
 * or `*` for all.
 */

import { parseCidr, renderCidr } from "../../base/ip.ts";

/** The annotation's name ⇒ what its list holds; `all`: it may be `*`, which is what holds without it. */
export const captureAnnotations = {
  "traffic.sidecar.istio.io/includeInboundPorts": { of: "ports", all: true },
  "traffic.sidecar.istio.io/excludeInboundPorts": { of: "ports", all: false },
  "traffic.sidecar.istio.io/includeOutboundPorts": { of: "ports", all: false },
  "traffic.sidecar.istio.io/excludeOutboundPorts": { of: "ports", all: false },
  "traffic.sidecar.istio.io/includeOutboundIPRanges": { of: "ranges", all: true },
  "traffic.sidecar.istio.io/excludeOutboundIPRanges": { of: "ranges", all: false },
} as const;

export interface CaptureSettings {
  readonly includeInboundPorts?: readonly number[];
  readonly excludeInboundPorts?: readonly number[];
  readonly includeOutboundPorts?: readonly number[];
  readonly excludeOutboundPorts?: readonly number[];
  /** CIDRs. */
  readonly includeOutboundIPRanges?: readonly string[];
  readonly excludeOutboundIPRanges?: readonly string[];
}

/** Without those that are absent, `*`, or no such list: nothing goes past a sidecar by mistake. */
export function captureSettings(
  annotations: Readonly<Record<string, string>> = {},
): CaptureSettings {
  const entries = Object.entries(captureAnnotations).flatMap(([name, { of }]) => {
    const text = annotations[name];
    if (text === undefined || text === "*") return [];
    const list = of === "ports" ? portsIn(text) : rangesIn(text);
    return list === undefined ? [] : [[name.slice(name.indexOf("/") + 1), list]];
  });
  return Object.fromEntries(entries) as CaptureSettings;
}

/** Undefined where something in the list is no port. */
export function portsIn(text: string): readonly number[] | undefined {
  const ports = itemsOf(text).map((item) => (/^\d{1,5}$/.test(item) ? Number(item) : 0));
  return ports.every((port) => port >= 1 && port <= 65_535) ? [...new Set(ports)] : undefined;
}

/** Undefined where something in the list is no CIDR. */
export function rangesIn(text: string): readonly string[] | undefined {
  try {
    return [...new Set(itemsOf(text).map((item) => renderCidr(parseCidr(item))))];
  } catch {
    return undefined;
  }
}

function itemsOf(text: string): readonly string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
