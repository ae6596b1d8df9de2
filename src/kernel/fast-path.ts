/**
 * Puts the fast path into the kernel: programs on links, and the map of who is behind them (bpf/fast-path.bpf.c).
 *
 * Of each link is known what was put, and reading back compares it with what the kernel has: the program on the link
 * must be this loading's, the map's entries as they were written. What differs, or another agent put, is reported as a
 * link of which nothing is known, so that it is put again or taken away.
 *
 * A link that has queues, filters, chains of nftables or eBPF programs of somebody else's (a chained plugin's, an
 * observer's) is left to the plain path: they would see no packet of it.
 *
 * Programs stay on their links when an agent ends, with the map that it filled, which is as old as its rules; the next
 * agent fills a map of its own and replaces the programs. A pod is put into the map before its program is attached, and
 * taken out before the program is detached.
 *
 * Not here: which links these are (core/dataplane), and the thread's namespace, which must be that of the links.
 */

import { renderError } from "../base/error.ts";
import { parseIp } from "../base/ip.ts";
import type { FastPathSpec } from "../model/node-state.ts";
import type { Link } from "../wire/netlink/link.ts";
import {
  type AttachedProgram,
  attachToLink,
  detachFromLink,
  type LinkHook,
  programId,
  programsOn,
} from "./bpf/attach.ts";
import type { MapEntry } from "./bpf/map.ts";
import { type BpfObject, loadCompiled } from "./bpf/object.ts";
import { canListPrograms, missingBpf } from "./features.ts";
import { readSysctl } from "./sysctl.ts";

/** What others may have on a link, beside eBPF programs. */
export interface Strangers {
  /** Kinds of its queues, and of what holds filters. */
  readonly queues: readonly string[];
  /** Whether a chain of nftables hangs on it. */
  readonly hasChain: boolean;
}

type Origin = FastPathSpec["from"];

const programs: Readonly<Record<Origin, string>> = { pod: "hd_from_pod", nodes: "hd_from_node" };
/** In the order of the program's `struct timeouts`; with what the kernel has where nobody has changed it. */
const timeouts = [
  { of: "established", usualSeconds: 432_000 },
  { of: "syn_sent", usualSeconds: 120 },
  { of: "time_wait", usualSeconds: 120 },
] as const;
const longestMs = 0x7fff_ffff;
const podBytes = 20;

interface Put {
  readonly spec: FastPathSpec;
  readonly hook: LinkHook;
  readonly entries: readonly MapEntry[];
}

export interface FastPath extends Disposable {
  /** Why packets take no fast path; undefined where they can. */
  readonly missing: string | undefined;
  /** What is loaded. */
  readonly object?: BpfObject | undefined;
  /** The name of the overlay's link, where it was put there. */
  readonly overlay?: string | undefined;
  /** False where the link is left to the plain path. */
  put(spec: FastPathSpec, link: Link, strangers: Strangers): boolean;
  /** Whether a program of the fast path is on the link, whoever put it. */
  isOn(link: Link): boolean;
  /** Deleting what is absent is success. Without `link`, which is gone or about to go, nothing is detached. */
  delete(spec: FastPathSpec, link: Link | undefined): void;
  observe(links: readonly Link[], strangersOn: (link: Link) => Strangers): readonly FastPathSpec[];
  /** Links on which it was to be put, and is not at this moment, with why. */
  plainLinks(): ReadonlyMap<string, string>;
}

/** `wanted`: false has it do nothing but find and take away what an earlier agent put, as where none can be loaded. */
export function openFastPath(wanted: boolean): FastPath {
  const impossible = missingBpf();
  if (impossible !== undefined) {
    return canListPrograms() ? new LoadedFastPath(impossible, undefined) : noFastPath(impossible);
  }
  if (!wanted) return new LoadedFastPath("it is turned off", undefined);
  try {
    return new LoadedFastPath(undefined, loadCompiled("fast-path"));
  } catch (error) {
    return new LoadedFastPath(renderError(error), undefined);
  }
}

/** Where programs cannot be asked about, as where links never have any. */
function noFastPath(missing: string): FastPath {
  return {
    missing,
    put: () => false,
    isOn: () => false,
    delete: () => undefined,
    observe: () => [],
    plainLinks: () => new Map(),
    [Symbol.dispose]: () => undefined,
  };
}

class LoadedFastPath implements FastPath {
  readonly missing: string | undefined;
  readonly object: BpfObject | undefined;
  readonly #put = new Map<string, Put>();
  /** Links that are left to others, with what these have there. */
  readonly #left = new Map<string, string>();

  constructor(missing: string | undefined, object: BpfObject | undefined) {
    this.missing = missing;
    this.object = object;
  }

  put(spec: FastPathSpec, link: Link, strangers: Strangers): boolean {
    const object = this.object;
    if (object === undefined) return false;
    const others = heldBy(spec, link, strangers, programsOn(ingressOf(link)));
    if (others !== undefined) {
      this.delete(spec, link);
      this.#left.set(spec.link, others);
      return false;
    }
    this.#forget(spec.link);
    const hook = ingressOf(link);
    const entries = spec.from === "pod" ? podEntries(spec, link) : [];
    // Remembered before it is done: what fails half way is taken back by the next try.
    this.#put.set(spec.link, { spec, hook, entries });
    object.map("pods").setAll(entries);
    this.#writeSettings();
    attachToLink(hook, programs[spec.from], object.program(programs[spec.from]));
    return true;
  }

  isOn(link: Link): boolean {
    return programsOn(ingressOf(link)).some(isOurs);
  }

  delete(spec: FastPathSpec, link: Link | undefined): void {
    this.#forget(spec.link);
    this.#writeSettings();
    if (link === undefined) return;
    for (const name of Object.values(programs)) detachFromLink(ingressOf(link), name);
  }

  observe(links: readonly Link[], strangersOn: (link: Link) => Strangers): readonly FastPathSpec[] {
    this.#forgetGone(links);
    this.#writeSettings();
    return links.flatMap((link) => {
      const here = programsOn(ingressOf(link));
      if (!here.some(isOurs)) return [];
      const put = this.#put.get(link.name);
      const isRight =
        put !== undefined &&
        this.#isInForce(put, here) &&
        heldBy(put.spec, link, strangersOn(link), here) === undefined;
      return [isRight ? put.spec : unknownPod(link.name)];
    });
  }

  plainLinks(): ReadonlyMap<string, string> {
    const taken = [...this.#put.values()].filter(({ hook }) => !programsOn(hook).some(isOurs));
    return new Map([
      ...[...this.#left].map(([link, others]) => [link, `${others} there`] as const),
      ...taken.map(({ spec }) => [spec.link, "its program was taken away"] as const),
    ]);
  }

  get overlay(): string | undefined {
    return this.#overlay?.spec.link;
  }

  [Symbol.dispose](): void {
    this.object?.[Symbol.dispose]();
  }

  /** Links go with namespaces, and addresses to other pods: of a link that is not there no plan needs to say a word. */
  #forgetGone(links: readonly Link[]): void {
    const indexes = new Map(links.map(({ name, index }) => [name, index]));
    for (const [name, { hook }] of [...this.#put]) {
      if (indexes.get(name) !== hook.linkIndex) this.#forget(name);
    }
    for (const name of [...this.#left.keys()]) {
      if (!indexes.has(name)) this.#left.delete(name);
    }
  }

  /** An address that another link has by now stays that one's. */
  #forget(link: string): void {
    const pods = this.object?.map("pods");
    for (const [key, value] of this.#put.get(link)?.entries ?? []) {
      if (isEqual(pods?.lookup(key), value)) pods?.delete(key);
    }
    this.#put.delete(link);
    this.#left.delete(link);
  }

  #isInForce({ spec, entries }: Put, here: readonly AttachedProgram[]): boolean {
    const object = this.object;
    if (object === undefined) return false;
    const own = programId(object.program(programs[spec.from]));
    const pods = object.map("pods");
    return (
      here.some(({ id }) => id === own) &&
      entries.every(([key, value]) => isEqual(pods.lookup(key), value))
    );
  }

  get #overlay(): Put | undefined {
    return [...this.#put.values()].find(({ spec }) => spec.from === "nodes");
  }

  /** Timeouts are the machine's settings, which its administrator may change at any time. */
  #writeSettings(): void {
    const value = Uint32Array.of(this.#overlay?.hook.linkIndex ?? 0, ...timeouts.map(timeoutMs));
    this.object?.map("settings").set(new Uint8Array(4), new Uint8Array(value.buffer));
  }
}

function timeoutMs({ of, usualSeconds }: (typeof timeouts)[number]): number {
  const set = readSysctl(`net/netfilter/nf_conntrack_tcp_timeout_${of}`);
  return Math.min(Number(set ?? usualSeconds) * 1000, longestMs);
}

function ingressOf({ index: linkIndex }: Link): LinkHook {
  return { linkIndex, direction: "ingress" };
}

/** This agent's or an earlier one's. */
function isOurs({ name }: AttachedProgram): boolean {
  return Object.values(programs).includes(name);
}

/**
 * What others have on a link that would be passed by; undefined where nothing. `here`: the programs on its ingress.
 * Whatever the overlay has at its end is met by what is sent there, but not a pod's.
 */
function heldBy(
  spec: FastPathSpec,
  link: Link,
  { queues, hasChain }: Strangers,
  here: readonly AttachedProgram[],
): string | undefined {
  if (hasChain) return "a chain of nftables is";
  const isPod = spec.from === "pod";
  const sent = isPod ? programsOn({ linkIndex: link.index, direction: "egress" }) : [];
  const [program] = [...here.filter((each) => !isOurs(each)), ...sent];
  if (program !== undefined) return `eBPF program ${program.name} is`;
  const queue = queues.find((kind) =>
    isPod ? !(spec.isPaced && kind === "tbf") : kind === "clsact" || kind === "ingress",
  );
  return queue === undefined ? undefined : `a queue or filters (${queue}) are`;
}

/** Differs from all that is wanted. */
function unknownPod(link: string): FastPathSpec {
  return { from: "pod", link, mtu: 0, mac: "", addresses: [], isPaced: false };
}

/** `struct address` and `struct pod` of the program. */
function podEntries(spec: FastPathSpec & { readonly from: "pod" }, link: Link): MapEntry[] {
  const value = Buffer.alloc(podBytes);
  value.writeUInt32LE(link.index, 0);
  value.writeUInt16LE(spec.mtu, 4);
  value.writeUInt8(spec.isPaced ? 1 : 0, 6);
  value.set(macBytes(spec.mac), 8);
  value.set(macBytes(link.mac), 14);
  return spec.addresses.map((address) => [addressBytes(address), value]);
}

const mappedIpv4 = 0xffff_0000_0000n; // ::ffff:0:0

function addressBytes(address: string): Uint8Array {
  const { family, value } = parseIp(address);
  const wide = family === "IPv4" ? mappedIpv4 | value : value;
  return Buffer.from(wide.toString(16).padStart(32, "0"), "hex");
}

function macBytes(mac: string): Uint8Array {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function isEqual(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}
