/**
 * What a runtime wants of an ADD beyond an address: published ports, bandwidth, a fixed address, names.
 *
 * It comes as `runtimeConfig`, one field for each capability that the configuration declares, and older runtimes say
 * some of it in CNI_ARGS (`IP`, `MAC`) or in `args.cni`. Go reads field names in any case and some runtimes write them
 * capitalised, so names of fields count in any case here as well. What cannot be done is refused by field and value:
 * a port that is silently not published is found out by a user.
 */

import { canonicalIp, isIp } from "../../base/ip.ts";
import type { Bandwidth, HostPort, Protocol, Rate } from "../../model/node-view.ts";
import type { CniArgs } from "./args.ts";
import { CniError, cniCodes } from "./error.ts";

export interface Wishes {
  readonly hostPorts: readonly HostPort[];
  readonly bandwidth: Bandwidth;
  /** Fixed addresses, without prefix length. */
  readonly addresses: readonly string[];
  readonly mac?: string;
  /** Names under which other containers look for this one. */
  readonly aliases: readonly string[];
}

/** Throws CniError 2 for what Heddle cannot do, 7 for what is no value of its field. */
export function parseWishes(raw: unknown, args: CniArgs, network: string): Wishes {
  const config = fieldsOf(raw);
  const runtime = fieldsOf(config.get("runtimeconfig"));
  const convention = fieldsOf(fieldsOf(config.get("args")).get("cni"));
  refuseDelegation(config.get("ipam"));
  const mac = macOf(runtime.get("mac") ?? args.mac ?? convention.get("mac"));
  return {
    hostPorts: hostPortsOf(runtime.get("portmappings")),
    bandwidth: bandwidthOf(runtime.get("bandwidth")),
    addresses: addressesOf(runtime.get("ips") ?? args.ip?.split(",") ?? convention.get("ips")),
    aliases: aliasesOf(runtime.get("aliases"), network),
    ...(mac === undefined ? {} : { mac }),
  };
}

/** Addresses come from the cluster's pools; another plugin's would be nobody's to route. */
function refuseDelegation(ipam: unknown): void {
  const type = fieldsOf(ipam).get("type");
  if (type === undefined || type === "" || type === "heddle-cni") return;
  throw new CniError(
    cniCodes.unsupportedField,
    `unsupported field ipam.type=${JSON.stringify(type)}: Heddle gives addresses itself; want no ipam`,
  );
}

function hostPortsOf(value: unknown): readonly HostPort[] {
  return listOf(value, "portMappings").map((each, index) => {
    const path = `portMappings[${index}]`;
    const fields = fieldsOf(each);
    const hostAddress = hostAddressOf(fields.get("hostip"), `${path}.hostIP`);
    return {
      protocol: protocolOf(fields.get("protocol"), `${path}.protocol`),
      hostPort: portOf(fields.get("hostport"), `${path}.hostPort`),
      containerPort: portOf(fields.get("containerport"), `${path}.containerPort`),
      ...(hostAddress === undefined ? {} : { hostAddress }),
    };
  });
}

/** Runtimes that publish on every address of both families send nothing, or one mapping for each. */
function hostAddressOf(value: unknown, path: string): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string" && isIp(value)) return canonicalIp(value);
  throw invalid(path, value, "an IP address of the node");
}

const protocols: Readonly<Record<string, Protocol>> = {
  "": "TCP",
  tcp: "TCP",
  udp: "UDP",
  sctp: "SCTP",
};

function protocolOf(value: unknown, path: string): Protocol {
  const name = value === undefined ? "" : value;
  const protocol = typeof name === "string" ? protocols[name.toLowerCase()] : undefined;
  if (protocol === undefined) throw unsupported(path, value, "tcp, udp or sctp");
  return protocol;
}

function portOf(value: unknown, path: string): number {
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535)
    return Number(value);
  throw invalid(path, value, "a port, 1 to 65535");
}

function bandwidthOf(value: unknown): Bandwidth {
  const fields = fieldsOf(value);
  const direction = (name: "ingress" | "egress"): Rate | undefined =>
    rateOf(fields.get(`${name}rate`), fields.get(`${name}burst`), `bandwidth.${name}`);
  const ingress = direction("ingress");
  const egress = direction("egress");
  return {
    ...(ingress === undefined ? {} : { ingress }),
    ...(egress === undefined ? {} : { egress }),
  };
}

/** What containerd writes where nobody said a burst. */
const anyBurst = 0xffff_ffff;
/** A burst that lets a full segment of a fast sender through at once, and 10 ms of the rate. */
const leastBurstBytes = 64 * 1024;
const burstMs = 10;
/** The kernel measures a burst in time, up to 274 s in 32 bits; a minute's worth is no limit any more. */
const longestBurstSeconds = 60;
const leastRate = 8_000;

/** Bits per second and bits, as CNI has them. A rate of 0 or none is no limit. */
function rateOf(rate: unknown, burst: unknown, path: string): Rate | undefined {
  const bitsPerSecond = countOf(rate, `${path}Rate`);
  const burstBits = countOf(burst, `${path}Burst`);
  if (bitsPerSecond === 0) return undefined;
  if (bitsPerSecond < leastRate) {
    throw invalid(`${path}Rate`, bitsPerSecond, `at least ${leastRate} bit/s, or 0 for no limit`);
  }
  const perSecond = bitsPerSecond / 8;
  const usual = Math.max(leastBurstBytes, (perSecond * burstMs) / 1_000);
  const asked = burstBits === 0 || burstBits === anyBurst ? usual : burstBits / 8;
  const burstBytes = Math.ceil(Math.min(asked, perSecond * longestBurstSeconds, anyBurst));
  return { bitsPerSecond, burstBytes: Math.max(burstBytes, leastPacketBytes) };
}

/** A bucket smaller than a packet would let none through. */
const leastPacketBytes = 2_048;

function countOf(value: unknown, path: string): number {
  if (value === undefined || value === null) return 0;
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
  throw invalid(path, value, "a whole number of bits, 0 or more");
}

function addressesOf(value: unknown): readonly string[] {
  return listOf(value, "ips").map((each, index) => {
    const address = typeof each === "string" ? (each.split("/")[0] ?? "") : "";
    if (!isIp(address)) throw invalid(`ips[${index}]`, each, "an IP address");
    return canonicalIp(address);
  });
}

function macOf(value: unknown): string | undefined {
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "string" || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(value)) {
    throw invalid("mac", value, "six hex octets, 02:00:00:00:00:01");
  }
  const isGroup = (Number.parseInt(value.slice(0, 2), 16) & 1) !== 0;
  if (isGroup || value === "00:00:00:00:00:00") {
    throw invalid("mac", value, "the address of one interface, neither a group's nor zero");
  }
  return value.toLowerCase();
}

/** A list, or, as Podman sends it, lists by network. */
function aliasesOf(value: unknown, network: string): readonly string[] {
  const list = Array.isArray(value) ? value : (fieldsOf(value).get(network.toLowerCase()) ?? []);
  return listOf(list, "aliases").map((each, index) => {
    if (typeof each === "string" && /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$/i.test(each)) {
      return each.toLowerCase();
    }
    throw invalid(`aliases[${index}]`, each, "a DNS label");
  });
}

function listOf(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(path, value, "a list");
  return value;
}

/** The fields of an object by their names in lower case; none for anything else. */
function fieldsOf(value: unknown): ReadonlyMap<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return new Map();
  return new Map(Object.entries(value).map(([key, field]) => [key.toLowerCase(), field]));
}

function unsupported(path: string, value: unknown, wanted: string): CniError {
  return new CniError(
    cniCodes.unsupportedField,
    `unsupported field runtimeConfig.${path}=${JSON.stringify(value)}: want ${wanted}`,
  );
}

function invalid(path: string, value: unknown, wanted: string): CniError {
  return new CniError(
    cniCodes.invalidConfig,
    `runtimeConfig.${path}: want ${wanted}, got ${JSON.stringify(value)}`,
  );
}
