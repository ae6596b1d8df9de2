/**
 * ADD: a pod gets address, policy, link and sidecar, or nothing.
 *
 * The order is the promise: the address is on disk before anything uses it, policy and admission are in the kernel
 * before the link exists (one plan), the sidecar is ready before capture sends it anything, and only then the runtime
 * hears of success and starts the container. Each step registers its undo in the line that takes it.
 *
 * A container that has the interface already is an error, unless what has it is another life of the same id: a runtime
 * that never called DEL for it.
 */

import { familyOf, hostCidr, renderCidr } from "../../base/ip.ts";
import { Scope } from "../../base/scope.ts";
import { compilePodCapture } from "../../core/dataplane/pod-capture.ts";
import { hostLinkName, podMac } from "../../core/dataplane/pod-link.ts";
import { podResolver } from "../../core/dns/pod-resolver.ts";
import type { KernelDriver } from "../../kernel/driver.ts";
import { nftTable, podGateways } from "../../model/names.ts";
import type { Attachment, HostPort, WorkloadView } from "../../model/node-view.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";
import type { CniRequest } from "../../wire/cni/request.ts";
import { type CniResult, chainResults, parseResult } from "../../wire/cni/result.ts";
import type { AddressRequest } from "../ipam.ts";
import type { NodeParts } from "../node-parts.ts";
import { netnsInode, ownNetnsInode } from "../state/host.ts";
import type { AttachmentRecord, SidecarRecord } from "../state/record.ts";
import { within } from "../within.ts";
import { isDead } from "./dead-pods.ts";
import { release } from "./delete.ts";
import { findPod } from "./find-pod.ts";
import { requireFreePorts } from "./host-ports.ts";

const joinWithinMs = 10_000;

type AddRequest = Extract<CniRequest, { command: "ADD" }>;

export async function add(
  request: AddRequest,
  parts: NodeParts,
  signal: AbortSignal,
): Promise<CniResult> {
  const { key, netns, config } = request;
  const { attachments, ipam, dataplane, sidecars, driver } = parts;
  signal.throwIfAborted();
  const previous = config.prevResult === undefined ? undefined : parseResult(config.prevResult);
  const inode = requireNetns(request, driver);
  const cookie = driver.netnsCookie(netns);
  const there = attachments.get(key);
  if (there !== undefined && isDead(there, parts)) await release(there, parts);
  else if (there !== undefined) {
    throw new CniError(
      cniCodes.attachmentExists,
      `add ${key.ifName} to container ${key.containerId}: it has it already, of network ${there.network}`,
    );
  }
  await using scope = new Scope();
  const { wishes } = request;

  const { workload, ownsPod, isNew } = await findPod(key, request, parts, signal);
  if (isNew) scope.onFailure(() => parts.containerPods.unmake(workload.namespace, workload.name));
  await joined(parts, signal);

  const addresses = await ipam.lease(addressesWished(workload.addressing, wishes.addresses));
  scope.onFailure(() => ipam.release(addresses));
  requireIpv4(workload, addresses);
  const attachment: Attachment = {
    ...key,
    netns,
    namespace: workload.namespace,
    name: workload.name,
    uid: workload.uid,
    addresses,
    hostLink: hostLinkName(key.containerId, key.ifName),
    mac: wishes.mac ?? podMac(key.containerId, key.ifName),
    ...(wishes.hostPorts.length === 0 ? {} : { hostPorts: wishes.hostPorts }),
    ...(Object.keys(wishes.bandwidth).length === 0 ? {} : { bandwidth: wishes.bandwidth }),
  };
  // A container's second interface shares the sidecar of the first.
  const meshed = workload.meshed && sidecars.get(key.containerId) === undefined;
  const record: AttachmentRecord = {
    version: 1,
    attachment,
    network: config.name,
    bootId: parts.bootId,
    netnsInode: inode,
    ...(cookie === undefined ? {} : { netnsCookie: cookie }),
    phase: "adding",
    ownsPod,
    ...(meshed ? { sidecar: sidecarRecord(workload) } : {}),
  };
  // Nothing waits between this look and the record, so no other ADD can come between.
  requireFreePorts(
    wishes.hostPorts,
    attachments.all().map((each) => each.attachment),
    dataplane.views.get()?.settings.encap ?? { kind: "none" },
  );
  await attachments.add(record);
  scope.onFailure(() => attachments.remove(key));
  signal.throwIfAborted();

  await dataplane.attach(attachment);
  scope.onFailure(() => dataplane.detach(attachment));
  driver.forgetUdpConnectionsTo(udpPorts(wishes.hostPorts));
  // The pod's address is that of its first interface.
  const [first] = attachments.all().filter((each) => each.attachment.uid === attachment.uid);
  if (first?.attachment === attachment) {
    parts.addresses.publish(attachment);
    scope.onFailure(() => parts.addresses.withdraw(attachment, dataplane.views.get()));
  }

  if (record.sidecar !== undefined) {
    await sidecars.start(attachment, record.sidecar, signal);
    scope.onFailure(() => sidecars.end(key.containerId));
    signal.throwIfAborted();
    // Nothing that waits comes after it: a DEL that overtakes now finds a complete pod.
    if (record.sidecar.gateway !== true) {
      driver.applyRulesetIn(netns, compilePodCapture(record.sidecar.capture));
      scope.onFailure(() => driver.removeRulesetIn(netns, nftTable));
    }
  }
  attachments.update(key, { phase: "added" });
  scope.succeed();
  if (isNew) parts.containerPods.showRunning(workload, parts.clock.now());

  const result = resultOf(attachment, dataplane.mtu(attachment.hostLink));
  return previous === undefined ? result : chainResults(previous, result);
}

function sidecarRecord({
  serviceAccount,
  labels,
  gateway,
  capture,
  sidecarMode: mode,
}: WorkloadView): SidecarRecord {
  return {
    ...{ serviceAccount, labels },
    ...(gateway === true ? { gateway } : {}),
    ...(capture === undefined ? {} : { capture }),
    ...(mode === undefined ? {} : { mode }),
  };
}

/** What the runtime asks for counts before what the pod's own annotations do. */
function addressesWished(
  pod: AddressRequest | undefined,
  addresses: readonly string[],
): AddressRequest {
  return addresses.length === 0 ? { ...pod } : { ...pod, addresses };
}

/** The node's address blocks are known within moments of the first view, or the server is in trouble. */
async function joined(parts: NodeParts, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(joinWithinMs)]);
  const text = `lease an address: node ${parts.node} does not know its address blocks yet; is the server reachable?`;
  await within(parts.joined, limit, () => new CniError(cniCodes.tryAgainLater, text));
}

/** Sidecars speak IPv4: a meshed pod without it would be cut off. */
function requireIpv4(workload: WorkloadView, addresses: readonly string[]): void {
  if (!workload.meshed || addresses.some((address) => familyOf(address) === "IPv4")) return;
  throw new CniError(
    cniCodes.invalidConfig,
    `attach pod ${workload.namespace}/${workload.name}: it is in the mesh and its address pools have no IPv4; annotate it with sidecar.istio.io/inject: "false", or give it a pool of IPv4`,
  );
}

/** The inode of the namespace to attach; code 8 where it is none or the agent's own. */
function requireNetns(request: AddRequest, driver: KernelDriver): number {
  const inode = netnsInode(request.netns);
  if (inode === undefined || !driver.isNetns(request.netns)) {
    const fault = inode === undefined ? "does not exist" : "is no network namespace";
    throw new CniError(
      cniCodes.invalidNetns,
      `open network namespace ${request.netns}: it ${fault}`,
    );
  }
  if (inode === ownNetnsInode() && !request.allowOwnNetns) {
    throw new CniError(
      cniCodes.invalidNetns,
      `attach network namespace ${request.netns}: it is the host's own (CNI_NETNS_OVERRIDE=1 allows it)`,
    );
  }
  return inode;
}

function udpPorts(hostPorts: readonly HostPort[]): ReadonlySet<number> {
  const udp = hostPorts.filter((each) => each.protocol === "UDP");
  return new Set(udp.map((each) => each.hostPort));
}

function resultOf(attachment: Attachment, mtu: number | undefined): CniResult {
  const size = mtu === undefined ? {} : { mtu };
  return {
    interfaces: [
      { name: attachment.hostLink, ...size },
      { name: attachment.ifName, mac: attachment.mac, ...size, sandbox: attachment.netns },
    ],
    ips: attachment.addresses.map((address) => ({
      address: renderCidr(hostCidr(address)),
      gateway: podGateways[familyOf(address)],
      interface: 1,
    })),
    routes: attachment.addresses.map(familyOf).map((family) => ({
      dst: family === "IPv4" ? "0.0.0.0/0" : "::/0",
      gw: podGateways[family],
    })),
    dns: podResolver(attachment.namespace, attachment.addresses),
  };
}
