/**
 * STATUS: whether an ADD could succeed now, and nothing else, as the specification wants it: a pod whose link is broken
 * is in `GET /status` and in `heddle check network`.
 */

import { renderCidr } from "../../base/ip.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";
import type { NodeParts } from "../node-parts.ts";

/** Throws code 50 saying what an ADD would wait for in vain. */
export function requireReady(parts: NodeParts): void {
  const { dataplane, ipam } = parts;
  const faults: string[] = [];
  if (dataplane.views.get() === undefined) faults.push("no view from the server has arrived yet");
  else if (!dataplane.inSync) {
    faults.push(`kernel is not as wanted: ${dataplane.lastPlan?.error ?? "no plan applied"}`);
  }
  if (ipam.blocks.length === 0) faults.push("the node holds no address block");
  else if (!ipam.hasRoom) {
    faults.push(`all addresses of ${ipam.blocks.map(renderCidr).join(", ")} are in use`);
  }
  if (faults.length > 0) {
    throw new CniError(cniCodes.notAvailable, `node ${parts.node}: ${faults.join("; ")}`);
  }
}
