/**
 * CHECK: is everything that ADD gave still there? All that is wrong is said at once.
 *
 * The pod's side of the link is compared by the driver, the host's side by the node's own plan, rules by their number
 * and the pod's elements by key, the sidecar by its supervisor; the caller's idea of the address (`prevResult`) must be
 * ours.
 */

import { hostCidr, renderCidr } from "../../base/ip.ts";
import { isRecord } from "../../base/json.ts";
import { compilePodCapture } from "../../core/dataplane/pod-capture.ts";
import { podElements } from "../../core/dataplane/pod-elements.ts";
import type { PodInterface, VethSpec } from "../../model/node-state.ts";
import type { Attachment, CaptureView } from "../../model/node-view.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";
import type { CniRequest } from "../../wire/cni/request.ts";
import type { NodeParts } from "../node-parts.ts";

export function check(request: Extract<CniRequest, { command: "CHECK" }>, parts: NodeParts): void {
  const { key, config } = request;
  const record = parts.attachments.get(key);
  if (record?.network !== config.name || record.phase !== "added") {
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
  else faults.push(...podSide({ ...wanted, ...macOf(config.prevResult, attachment) }, parts));
  const host = parts.driver.observe();
  const link = host.links.find((each) => each.name === attachment.hostLink);
  if (link === undefined) faults.push(`link ${attachment.hostLink} is absent on the node`);
  else if (link.kind === "veth") faults.push(...limitFaults(link, attachment));
  const routed = new Set(host.routes.map(({ destination }) => renderCidr(destination)));
  for (const address of own) {
    if (!routed.has(address)) faults.push(`route to ${address} is absent on the node`);
  }
  faults.push(...rulesetFaults(attachment, parts));
  if (record.sidecar !== undefined) {
    if (record.sidecar.gateway !== true) {
      faults.push(...captureFaults(attachment, record.sidecar.capture, parts));
    }
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

/** A namespace that is gone is the first thing to say, and no reason to say nothing else. */
function podSide(wanted: PodInterface, { driver }: NodeParts): readonly string[] {
  if (!driver.isNetns(wanted.netns)) return [`network namespace ${wanted.netns} does not exist`];
  return driver.checkPodInterface(wanted);
}

/** A plugin after us (tuning) may have changed the hardware address, and says so in the final result. */
function macOf(prevResult: unknown, attachment: Attachment): { readonly mac?: string } {
  const interfaces = isRecord(prevResult) ? prevResult["interfaces"] : undefined;
  if (!Array.isArray(interfaces)) return {};
  const own = interfaces.find(
    (each: unknown) =>
      isRecord(each) && each["name"] === attachment.ifName && each["sandbox"] === attachment.netns,
  );
  const mac = isRecord(own) ? own["mac"] : undefined;
  return typeof mac === "string" && mac !== "" ? { mac: mac.toLowerCase() } : {};
}

function limitFaults(link: VethSpec, { bandwidth }: Attachment): readonly string[] {
  const wanted = bandwidth?.ingress?.bitsPerSecond;
  if (wanted === undefined || link.limit?.bitsPerSecond === wanted) return [];
  return [`link ${link.name} has lost its limit of ${wanted} bit/s`];
}

function rulesetFaults(attachment: Attachment, parts: NodeParts): readonly string[] {
  const ruleset = parts.dataplane.inForce.get()?.ruleset;
  if (ruleset === undefined) return [];
  return parts.driver.checkRuleset(ruleset, podElements(ruleset, attachment));
}

function captureFaults(
  { netns }: Attachment,
  capture: CaptureView | undefined,
  { driver }: NodeParts,
): readonly string[] {
  if (!driver.isNetns(netns)) return [];
  return driver
    .checkRuleset(compilePodCapture(capture), [], netns)
    .map((fault) => `in the pod, ${fault}`);
}

/** A plugin list's final result names the addresses of all plugins. */
function addressesOf(prevResult: unknown): readonly unknown[] {
  const ips = isRecord(prevResult) ? prevResult["ips"] : undefined;
  if (!Array.isArray(ips)) {
    throw new CniError(cniCodes.invalidConfig, "check: the configuration carries no prevResult");
  }
  return ips.map((ip: unknown) => (isRecord(ip) ? ip["address"] : undefined));
}
