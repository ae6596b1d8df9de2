/**
 * Has the fast path write the overlay's headers itself, and take them off: tells its programs the overlay's device and
 * the node's own link beneath it, the uplink, and puts the program on that (bpf/wrapping.h).
 *
 * Everything that is told is the kernel's: the device's settings and forwarding entries, which link has its address,
 * the number of the rules. So there is nothing to plan. Whoever has changed one of these has it looked at again
 * (`look`); what somebody else changes is seen at the agent's next look, but for rules of nftables, whose number makes
 * the programs leave packets to the device at once. Our own transactions take that number with them (`follow`).
 *
 * Nothing is wrapped where somebody else is asked about such packets outside (outer-rules.ts), or has a program, a
 * filter or a queue where they would no longer come by: where the overlay's device sends and the uplink receives. What
 * leaves by the uplink meets its programs, filters and queues as ever.
 *
 * The thread's namespace must be that of the links.
 */

import { renderError } from "../base/error.ts";
import { familyOf, isIpv4, parseIpv4 } from "../base/ip.ts";
import { linkPrefix, vxlanLink } from "../model/names.ts";
import type { Step } from "../model/node-state.ts";
import { decodeAddress, dumpAddresses } from "../wire/netlink/address.ts";
import { decodeLink, dumpLinks, type Link } from "../wire/netlink/link.ts";
import { decodeForwarding, dumpForwarding } from "../wire/netlink/neighbour.ts";
import { decodeRulesGeneration, getRulesGeneration } from "../wire/netlink/nftables.ts";
import { attachedTo, attachToLink, detachFromLink, programsOn } from "./bpf/attach.ts";
import type { BpfObject } from "./bpf/object.ts";
import { listQueueKinds } from "./limits.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { whyLegacyAsks } from "./others-rules.ts";
import { chainOutside } from "./outer-rules.ts";
import { readSysctl } from "./sysctl.ts";

const program = "hd_from_uplink";
const wrappingBytes = 32;
const hardwareAddressBytes = 8;

export interface WrappingSockets {
  readonly route: NetlinkSocket;
  readonly netfilter: NetlinkSocket;
}

/** The overlay's device and the link that has its address. */
interface Ends {
  readonly overlay: Link & { readonly vxlan: NonNullable<Link["vxlan"]> };
  readonly uplink: Link;
}

export class Wrapping {
  readonly #object: BpfObject | undefined;
  readonly #sockets: WrappingSockets;
  /** Or why the device is left to wrap. */
  #ends: Ends | string = "it was not looked at yet";
  /** Of the rules at which nobody else is asked, on these links. */
  #judged: { readonly rules: number; readonly links: string } | undefined;
  /** As the program has it. */
  #told: Uint8Array = new Uint8Array(wrappingBytes);
  #isSwept = false;

  /** Without an object it only takes away what an earlier agent put. */
  constructor(object: BpfObject | undefined, sockets: WrappingSockets) {
    this.#object = object;
    this.#sockets = sockets;
  }

  /** Why the overlay's device is left to wrap; undefined where it is not. */
  get why(): string | undefined {
    return typeof this.#ends === "string" ? this.#ends : undefined;
  }

  /**
   * `overlay`: the device's name, where it has the fast path. Nothing waits for an accelerator: what fails leaves all
   * to the device, and the next look tries again.
   */
  look(overlay: string | undefined): void {
    const before = this.#uplink;
    try {
      this.#ends = overlay === undefined ? "the overlay has no fast path" : this.#find(overlay);
      this.#put();
      if (before !== undefined && before !== this.#uplink) detach(before);
      if (!this.#isSwept) this.#sweep();
    } catch (error) {
      this.#ends = renderError(error);
      this.#tell(new Uint8Array(wrappingBytes));
    }
  }

  /** Has `commit`, a transaction of ours that changes nothing for others, leave on what is on. */
  follow<T>(commit: () => T): T {
    const judged = this.#judged;
    const before = judged === undefined ? undefined : this.#rulesNumber();
    const result = commit();
    // Anything but one step on is somebody who came in between: the next look judges anew.
    if (judged === undefined || judged.rules !== before || this.#rulesNumber() !== before + 1) {
      return result;
    }
    this.#judged = { ...judged, rules: before + 1 };
    if (typeof this.#ends !== "string") {
      const value = Buffer.from(this.#told);
      value.writeUInt32LE(before + 1, rulesOffset);
      this.#tell(value);
    }
    return result;
  }

  /** By index. */
  get #uplink(): number | undefined {
    return typeof this.#ends === "string" ? undefined : this.#ends.uplink.index;
  }

  #rulesNumber(): number | undefined {
    return this.#sockets.netfilter.get(getRulesGeneration(), decodeRulesGeneration);
  }

  #find(name: string): Ends | string {
    const links = this.#sockets.route.dump(dumpLinks(), decodeLink);
    const overlay = links.find((link) => link.name === name);
    if (overlay?.vxlan === undefined) return `${name} is no VXLAN device`;
    const { local } = overlay.vxlan;
    if (!isIpv4(local)) return `nodes speak ${familyOf(local)} to each other`;
    const holder = this.#sockets.route
      .dump(dumpAddresses(), decodeAddress)
      .find((each) => each.address === local && each.linkIndex !== overlay.index)?.linkIndex;
    const uplink = links.find(({ index }) => index === holder);
    if (uplink === undefined) return `no link has ${local}`;
    if (!uplink.up || !/^(..:){5}..$/.test(uplink.mac)) {
      return `${uplink.name} is down, or no Ethernet`;
    }
    const held = this.#heldBy(overlay, uplink) ?? this.#askedBy([overlay.name, uplink.name]);
    return held ?? { overlay: { ...overlay, vxlan: overlay.vxlan }, uplink };
  }

  /** What would no longer see these packets. */
  #heldBy(overlay: Link, uplink: Link): string | undefined {
    const queues = listQueueKinds(this.#sockets.route);
    const [kind] = [
      ...(queues.get(overlay.index) ?? []),
      ...(queues.get(uplink.index) ?? []).filter((each) => each === "clsact" || each === "ingress"),
    ];
    if (kind !== undefined) return `${overlay.name} or ${uplink.name} has ${kind}`;
    const [other] = [
      ...programsOn({ linkIndex: overlay.index, direction: "egress" }),
      ...programsOn({ linkIndex: uplink.index, direction: "ingress" }).filter(
        (each) => each.name !== program,
      ),
    ];
    return other === undefined
      ? undefined
      : `${overlay.name} or ${uplink.name} has eBPF program ${other.name}`;
  }

  #askedBy(names: readonly string[]): string | undefined {
    const links = names.join(" ");
    const legacy = whyLegacyAsks();
    const rules = this.#rulesNumber();
    const isJudged = this.#judged?.rules === rules && this.#judged?.links === links;
    if (isJudged && legacy === undefined) return undefined;
    this.#judged = undefined;
    const asked = legacy ?? chainOutside(this.#sockets.netfilter, names);
    if (asked !== undefined) return asked;
    if (rules === undefined || rules !== this.#rulesNumber()) return "rules are being changed";
    this.#judged = { rules, links };
    return undefined;
  }

  #put(): void {
    const object = this.#object;
    if (object === undefined) return;
    if (typeof this.#ends === "string" || this.#judged === undefined) {
      this.#tell(new Uint8Array(wrappingBytes));
      return;
    }
    const { overlay, uplink } = this.#ends;
    this.#writeRemotes(object, overlay);
    this.#tell(wrappingBytesOf(this.#ends, this.#judged.rules));
    const hook = { linkIndex: uplink.index, direction: "ingress" } as const;
    attachToLink(hook, program, object.program(program));
  }

  #writeRemotes(object: BpfObject, { index }: Link): void {
    const remotes = object.map("remotes");
    const entries = this.#sockets.route
      .dump(dumpForwarding(index), decodeForwarding)
      .filter(({ linkIndex, remote }) => linkIndex === index && isIpv4(remote))
      .map(({ mac, remote }) => [hardwareAddress(mac), ipv4Bytes(remote)] as const);
    const wanted = new Set(entries.map(([key]) => key.toString("hex")));
    for (const key of remotes.keys()) {
      if (!wanted.has(Buffer.from(key).toString("hex"))) remotes.delete(key);
    }
    remotes.setAll(entries);
  }

  #tell(value: Uint8Array): void {
    this.#told = value;
    this.#object?.map("wrapping").set(new Uint8Array(4), value);
  }

  /** What an earlier agent put on a link that is the uplink no more, once. */
  #sweep(): void {
    for (const { index, name } of this.#sockets.route.dump(dumpLinks(), decodeLink)) {
      if (!name.startsWith(linkPrefix) && index !== this.#uplink) detach(index);
    }
    this.#isSwept = true;
  }
}

/** Whether it changes the overlay's device, its forwarding entries or its fast path: then it is to be looked at. */
export function isAboutOverlay(step: Step): boolean {
  switch (step.kind) {
    case "link-add":
      return step.link.kind === "vxlan";
    case "link-delete":
      return step.name === vxlanLink;
    case "forwarding-replace":
    case "forwarding-delete":
      return true;
    case "fast-path-put":
    case "fast-path-delete":
      return step.fastPath.from === "nodes";
    default:
      return false;
  }
}

function detach(linkIndex: number): void {
  const hook = { linkIndex, direction: "ingress" } as const;
  if (attachedTo(hook, program).length > 0) detachFromLink(hook, program);
}

const rulesOffset = 4;

/** `struct wrapping` of the program; zeros have it wrap nothing. */
function wrappingBytesOf({ overlay, uplink }: Ends, rules: number): Buffer {
  const value = Buffer.alloc(wrappingBytes);
  const { vni, port, local } = overlay.vxlan;
  const [first, last] = portRange();
  value.writeUInt32LE(uplink.index, 0);
  value.writeUInt32LE(rules, rulesOffset);
  value.set(ipv4Bytes(local), 8);
  value.writeUInt32BE(vni * 256, 12);
  value.writeUInt16BE(port, 16);
  value.writeUInt16LE(first, 18);
  value.writeUInt16LE(last - first, 20);
  value.writeUInt8(Number(readSysctl("net/ipv4/ip_default_ttl") ?? usualHops), 22);
  value.set(hardwareAddress(overlay.mac), 24);
  return value;
}

/** The kernel's, where nobody has changed it. */
const usualHops = 64;
const usualPorts = [32_768, 60_999] as const;

function portRange(): readonly [number, number] {
  const words = readSysctl("net/ipv4/ip_local_port_range")?.split(/\s+/).map(Number);
  const [first = usualPorts[0], last = usualPorts[1]] = words ?? [];
  return [first, last];
}

function hardwareAddress(mac: string): Buffer {
  const bytes = Buffer.alloc(hardwareAddressBytes);
  bytes.set(Buffer.from(mac.replaceAll(":", ""), "hex"));
  return bytes;
}

function ipv4Bytes(address: string): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(parseIpv4(address));
  return bytes;
}
