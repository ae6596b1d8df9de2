/**
 * The node's WireGuard device: made by the kernel, or by `wireguard-go` where that is allowed and the kernel has none.
 *
 * Either speaks to the tool `wg`, so keys and peers are read and set by the same words, and only what differs is set:
 * sessions of peers that stay as they are go on. The private key goes from its file to `wg` and nowhere else.
 *
 * `wireguard-go` outlives its agent. It ends with its device: whoever deletes the link ends the process, and a process
 * that ends takes the link along. Its socket has a fixed path below /var/run, so it and `wg` are given a mount namespace
 * in which a folder of the agent's is there: nodes that share a machine (a lab's) then do not meet.
 */

import { closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../base/error.ts";
import { wireguardLink } from "../model/names.ts";
import type { KernelFeatures, WireguardPeerSpec, WireguardSpec } from "../model/node-state.ts";
import { type Link, probeKind } from "../wire/netlink/link.ts";
import { parseWireguardDump, type WireguardDevice } from "../wire/wireguard/dump.ts";
import type { WireguardStatus } from "./driver.ts";
import type { KernelHas } from "./features.ts";
import { removeLink } from "./link-removal.ts";
import { bringUp } from "./links.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { findLink } from "./pod-interface.ts";
import { doing } from "./refusal.ts";
import { WireguardTool } from "./wireguard-tool.ts";

export interface WireguardOptions {
  /** The node's private key, base64. */
  readonly keyFile: string;
  readonly publicKey: string;
  /** Where `wireguard-go` has its socket and its log. Absent: there is the kernel's WireGuard or none. */
  readonly userspaceFolder?: string;
}

/** Why the node has no key that could be used. */
export interface NoWireguardKey {
  readonly missing: string;
}

export type WireguardMaker = "kernel" | "wireguard-go";

/** The driver's part that has to do with the encrypted overlay. */
export interface Wireguard {
  /** Undefined where the node has no key. */
  readonly feature: KernelFeatures["wireguard"];
  /** Why no device can be made. */
  readonly missing: string | undefined;
  /** Undefined where nothing that speaks WireGuard is behind the link. */
  readonly specOf: (link: Link) => WireguardSpec | undefined;
  /** Leaves a device with the key, port and peers that are wanted, and up. */
  readonly put: (spec: WireguardSpec) => void;
  readonly status: () => WireguardStatus | undefined;
}

/** `kernel`: what it was found to have. `atHome` runs in the namespace that the device belongs to, as `socket` does. */
export function openWireguard({
  socket,
  kernel,
  options,
  atHome,
}: {
  readonly socket: NetlinkSocket;
  readonly kernel: KernelHas;
  readonly options: WireguardOptions | NoWireguardKey | undefined;
  readonly atHome: <T>(fn: () => T) => T;
}): Wireguard {
  const support = supportFor(kernel, options);
  if (support.feature !== "available" || options === undefined || "missing" in options) {
    const { missing = "" } = support;
    return {
      feature: support.feature,
      missing,
      specOf: (link) => (mayBeWireguard(link) ? unread(link) : undefined),
      put: () => {
        throw new MeshError("kernel.feature.wireguard", missing, { fault: "host" });
      },
      status: () => undefined,
    };
  }
  const { maker } = support;
  const tool = new WireguardTool(options.userspaceFolder);
  const read = (link: Link) => atHome(() => readDevice(link, tool));
  return {
    feature: "available",
    missing: undefined,
    specOf(link) {
      const found = read(link);
      if (found.kind === "unknown") return unread(link);
      return found.kind === "device" ? specOf(link, found.device, options) : undefined;
    },
    put(spec) {
      const link = atHome(() => ensureDevice({ socket, tool, options, maker }, spec));
      const { mtu, looseSources } = spec;
      bringUp(socket, link, { mtu, ...(looseSources === undefined ? {} : { looseSources }) });
    },
    status() {
      const link = findLink(socket, wireguardLink);
      const found = link && read(link);
      return found?.kind === "device" ? { maker, device: found.device } : undefined;
    },
  };
}

interface Support {
  readonly feature: KernelFeatures["wireguard"];
  readonly maker: WireguardMaker;
  readonly missing?: string;
}

function supportFor(
  kernel: KernelHas,
  options: WireguardOptions | NoWireguardKey | undefined,
): Support {
  const maker = kernel === "available" ? "kernel" : "wireguard-go";
  if (options === undefined) {
    return { feature: undefined, maker, missing: "the node has no WireGuard key" };
  }
  if ("missing" in options) return { feature: "no-key", maker, missing: options.missing };
  const [absent] = [
    ...programsOf[maker].filter((name) => !hasProgram(name)),
    ...["/dev/net/tun"].filter((path) => maker === "wireguard-go" && !existsSync(path)),
  ];
  if (kernel === "available") {
    if (absent === undefined) return { feature: kernel, maker };
    const missing = "the program wg is not installed (Debian: wireguard-tools)";
    return { feature: "no-tool", maker, missing };
  }
  const missing = kernelLacks[kernel];
  if (options.userspaceFolder === undefined) return { feature: kernel, maker, missing };
  if (absent === undefined) return { feature: "available", maker };
  return {
    feature: kernel,
    maker,
    missing: `${missing}, and WireGuard in user space lacks ${absent}`,
  };
}

const programsOf: Readonly<Record<WireguardMaker, readonly string[]>> = {
  kernel: ["wg"],
  "wireguard-go": ["wg", "wireguard-go"],
};

/** They were there when the agent started; a package that is being upgraded takes its away for a moment. */
function requirePrograms(maker: WireguardMaker): void {
  const absent = programsOf[maker].find((name) => !hasProgram(name));
  if (absent !== undefined) throw failed("look at the WireGuard device", `${absent} is not there`);
}

const kernelLacks = {
  absent: "the kernel has no WireGuard devices (CONFIG_WIREGUARD, module wireguard)",
  denied: "the agent may not make a WireGuard device to see whether the kernel has them",
} as const;

function hasProgram(name: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, name)));
}

/** Whether a link may be a device of WireGuard: the kernel's, or what `wireguard-go` made. */
function mayBeWireguard({ kind }: Link): boolean {
  return kind === "wireguard" || kind === "tun";
}

/** What is behind a link. */
type Reading =
  | { readonly kind: "device"; readonly device: WireguardDevice }
  /** Nothing that speaks WireGuard. */
  | { readonly kind: "other" }
  /** It may encrypt all the same. */
  | { readonly kind: "unknown"; readonly why: string };

function readDevice(link: Link, tool: WireguardTool): Reading {
  if (!mayBeWireguard(link)) return { kind: "other" };
  const { status, stdout, stderr } = tool.wg("show", link.name, "dump");
  if (status === 0) return { kind: "device", device: parseWireguardDump(stdout) };
  // Only `wg` can say that it is none, and does so with these words; one that was killed, or never began, has not.
  return stderr.startsWith("Unable to access interface")
    ? { kind: "other" }
    : { kind: "unknown", why: stderr };
}

/** Like none that is wanted, so that it is put right, or deleted where none is. */
function unread({ name, mtu }: Link): WireguardSpec {
  return { kind: "wireguard", name, mtu, port: 0, hasNodeKey: false, peers: [] };
}

function specOf(
  { name, mtu, looseSources }: Link,
  { publicKey, port, peers }: WireguardDevice,
  options: WireguardOptions,
): WireguardSpec {
  return {
    kind: "wireguard",
    name,
    mtu,
    port,
    hasNodeKey: publicKey === options.publicKey,
    ...(looseSources ? { looseSources } : {}),
    peers: peers.map((peer) => ({
      publicKey: peer.publicKey,
      endpoint: peer.endpoint,
      allowed: peer.allowed,
    })),
  };
}

interface Means {
  readonly socket: NetlinkSocket;
  readonly tool: WireguardTool;
  readonly options: WireguardOptions;
  readonly maker: WireguardMaker;
}

/** Answers the link, which may be down. */
function ensureDevice({ socket, tool, options, maker }: Means, spec: WireguardSpec): Link {
  const { name } = spec;
  const there = findLink(socket, name);
  const found = there === undefined ? undefined : readDevice(there, tool);
  if (found?.kind === "unknown") throw failed(`look at WireGuard device ${name}`, found.why);
  if (found?.kind !== "device") {
    requirePrograms(maker);
    if (there !== undefined) removeLink(socket, name);
    if (maker === "kernel") {
      doing("link", `create WireGuard device ${name}`, () =>
        socket.request(probeKind("wireguard", name)),
      );
    } else startUserspace(name, options, tool);
  }
  const words = changeWords(spec, found?.kind === "device" ? found.device : fresh, options);
  if (words.length > 0) {
    const { status, stderr } = tool.wg("set", name, ...words);
    if (status !== 0) throw failed(`set keys and peers of WireGuard device ${name}`, stderr);
  }
  const link = findLink(socket, name);
  if (link === undefined) throw failed(`make WireGuard device ${name}`, "it is gone again");
  return link;
}

const fresh: WireguardDevice = { publicKey: "", port: 0, peers: [] };

/** For `wg set`: what leads from one to the other, and nothing else. */
export function changeWords(
  wanted: WireguardSpec,
  found: WireguardDevice,
  { keyFile, publicKey }: Pick<WireguardOptions, "keyFile" | "publicKey">,
): readonly string[] {
  const peers = new Map(found.peers.map((peer) => [peer.publicKey, peer]));
  const staying = new Set(wanted.peers.map((peer) => peer.publicKey));
  return [
    // Before the port: a device without a key answers nobody.
    ...(found.publicKey === publicKey ? [] : ["private-key", keyFile]),
    ...(found.port === wanted.port ? [] : ["listen-port", `${wanted.port}`]),
    ...[...peers.keys()]
      .filter((key) => !staying.has(key))
      .flatMap((key) => ["peer", key, "remove"]),
    ...wanted.peers.flatMap((peer) => peerWords(peer, peers.get(peer.publicKey))),
  ];
}

function peerWords(
  wanted: WireguardPeerSpec,
  found: Omit<WireguardPeerSpec, "publicKey"> | undefined,
): readonly string[] {
  const words = [
    ...(found?.endpoint === wanted.endpoint ? [] : ["endpoint", wanted.endpoint]),
    ...(found?.allowed.join() === wanted.allowed.join()
      ? []
      : ["allowed-ips", wanted.allowed.join()]),
  ];
  return words.length === 0 ? [] : ["peer", wanted.publicKey, ...words];
}

function startUserspace(
  name: string,
  { userspaceFolder }: WireguardOptions,
  tool: WireguardTool,
): void {
  if (userspaceFolder === undefined)
    throw failed(`start wireguard-go ${name}`, "it is not asked for");
  mkdirSync(join(userspaceFolder, "wireguard"), { recursive: true, mode: 0o700 });
  const logFile = join(userspaceFolder, "wireguard-go.log");
  const log = openSync(logFile, "a", 0o600);
  try {
    const { status } = tool.startUserspace(name, log);
    if (status !== 0) throw failed(`start wireguard-go ${name}`, `its log is ${logFile}`);
  } finally {
    closeSync(log);
  }
}

function failed(doingWhat: string, why: string): MeshError {
  const said = why.trim().split("\n").at(-1) ?? "";
  return new MeshError("kernel.wireguard.refused", `${doingWhat}: ${said}`, {
    fault: "host",
    retryable: true,
  });
}
