/**
 * CHECK: is everything that ADD gave still there? All that is wrong is said at once.
 *
 * The pod's side of the link is compared by the driver, the host's side by the node's own plan, the sidecar by its
 * supervisor; the caller's idea of the address (`prevResult`) must be ours.
 */

import { hostCidr, renderCidr } from "../../base/ip.ts";
import { isRecord } from "../../base/json.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";
import type { CniRequest } from "../../wire/cni/request.ts";
import type { NodeParts } from "../node-parts.ts";

export function check(request: Extract<CniRequest, { command: "CHECK" }>, parts: NodeParts): void {
  const { key, config } = request;
  const record = parts.attachments.get(key);
  if (record === undefined || record.phase !== "added") {
    throw new CniError(
      cniCodes.unknownContainer,
      `check ${key.ifName} of container ${key.containerId}: it was never added`,
    );
  }
  const { attachment } = record;
  const faults: string[] = [];
  const own = attachment.addresses.map(hostCidr).map(renderCidr);
  const given = addressesOf(config.prevResult);
  for (const address of own) {
    if (!given.includes(address)) faults.push(`prevResult does not name address ${address}`);
  }
  const wanted = parts.dataplane.podInterface(attachment.hostLink);
  if (wanted === undefined) faults.push(`link ${attachment.hostLink} is not in force on the node`);
  else faults.push(...parts.driver.checkPodInterface(wanted));
  const host = parts.driver.observe();
  if (!host.links.some((link) => link.name === attachment.hostLink)) {
    faults.push(`link ${attachment.hostLink} is absent on the node`);
  }
  const routed = new Set(host.routes.map(({ destination }) => renderCidr(destination)));
  for (const address of own) {
    if (!routed.has(address)) faults.push(`route to ${address} is absent on the node`);
  }
  if (record.sidecar !== undefined) {
    const state = parts.sidecars.get(key.containerId)?.state;
    if (state?.kind !== "ready") faults.push(`sidecar is ${state?.kind ?? "absent"}`);
  }
  if (faults.length > 0) {
    throw new CniError(
      cniCodes.checkFailed,
      `check ${key.ifName} of container ${key.containerId}: ${faults.join("; ")}`,
    );
  }
}

/** A plugin list's final result names the addresses of all plugins. */
function addressesOf(prevResult: unknown): readonly unknown[] {
  const ips = isRecord(prevResult) ? prevResult["ips"] : undefined;
  if (!Array.isArray(ips)) {
    throw new CniError(cniCodes.invalidConfig, "check: the configuration carries no prevResult");
  }
  return ips.map((ip: unknown) => (isRecord(ip) ? ip["address"] : undefined));
}
