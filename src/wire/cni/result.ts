/**
 * The result of ADD: one value inside, four JSON shapes outside, by the version that the runtime asked for.
 *
 * 1.1.0 knows `mtu`, older ones do not; below 1.0.0 each address says its family; 0.1.0 and 0.2.0 know one address
 * and no interfaces. A plugin that is not the first of its list gets the result so far and answers with it and its
 * own part together.
 */

import { CniError, cniCodes } from "./error.ts";
import { isAtLeast } from "./version.ts";

export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  /** This and the two below since 1.1.0. */
  readonly mtu?: number;
  readonly socketPath?: string;
  readonly pciID?: string;
  /** Path of the network namespace; absent for the host's side. */
  readonly sandbox?: string;
}

export interface CniRoute {
  readonly dst: string;
  readonly gw?: string;
  /** This and all below since 1.1.0. */
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface CniIp {
  /** With prefix length. */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface CniDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

export function encodeResult(result: CniResult, cniVersion: string): string {
  if (!isAtLeast(cniVersion, "0.3.0")) return encodeOldest(result, cniVersion);
  const isNewest = isAtLeast(cniVersion, "1.1.0");
  const interfaces = isNewest
    ? result.interfaces
    : result.interfaces.map(({ mtu: _, socketPath: __, pciID: ___, ...rest }) => rest);
  const routes = isNewest ? result.routes : result.routes.map(oldRoute);
  const ips = isAtLeast(cniVersion, "1.0.0")
    ? result.ips
    : result.ips.map((ip) => ({ version: familyOf(ip.address), ...ip }));
  return JSON.stringify({ cniVersion, interfaces, ips, routes, dns: result.dns });
}

function oldRoute({ dst, gw }: CniRoute): CniRoute {
  return { dst, ...(gw === undefined ? {} : { gw }) };
}

function encodeOldest(result: CniResult, cniVersion: string): string {
  const ofFamily = (family: "4" | "6") => {
    const ip = result.ips.find((each) => familyOf(each.address) === family);
    if (ip === undefined) return undefined;
    const routes = result.routes.filter((route) => familyOf(route.dst) === family).map(oldRoute);
    return { ip: ip.address, gateway: ip.gateway, routes };
  };
  return JSON.stringify({ cniVersion, ip4: ofFamily("4"), ip6: ofFamily("6"), dns: result.dns });
}

function familyOf(address: string): "4" | "6" {
  return address.includes(":") ? "6" : "4";
}

/** Reads the result of the plugins before us (0.3.0 and up). Throws CniError 6 where it has another shape. */
export function parseResult(value: unknown): CniResult {
  const root = record(value, "prevResult");
  return {
    interfaces: list(root["interfaces"], "prevResult.interfaces").map((each, index) => {
      const item = record(each, `prevResult.interfaces[${index}]`);
      return {
        name: text(item["name"], `prevResult.interfaces[${index}].name`),
        ...kept("mac", item["mac"], isText),
        ...kept("mtu", item["mtu"], isNumber),
        ...kept("socketPath", item["socketPath"], isText),
        ...kept("pciID", item["pciID"], isText),
        ...kept("sandbox", item["sandbox"], isText),
      };
    }),
    ips: list(root["ips"], "prevResult.ips").map((each, index) => {
      const item = record(each, `prevResult.ips[${index}]`);
      return {
        address: text(item["address"], `prevResult.ips[${index}].address`),
        ...kept("gateway", item["gateway"], isText),
        ...kept("interface", item["interface"], isNumber),
      };
    }),
    routes: list(root["routes"], "prevResult.routes").map((each, index) => {
      const item = record(each, `prevResult.routes[${index}]`);
      return {
        dst: text(item["dst"], `prevResult.routes[${index}].dst`),
        ...kept("gw", item["gw"], isText),
        ...kept("mtu", item["mtu"], isNumber),
        ...kept("advmss", item["advmss"], isNumber),
        ...kept("priority", item["priority"], isNumber),
        ...kept("table", item["table"], isNumber),
        ...kept("scope", item["scope"], isNumber),
      };
    }),
    dns: parseDns(root["dns"]),
  };
}

/** Ours after theirs: interfaces keep their order, so theirs keep their indexes and ours move up. */
export function chainResults(previous: CniResult, own: CniResult): CniResult {
  const shift = previous.interfaces.length;
  const ips = own.ips.map((ip) =>
    ip.interface === undefined ? ip : { ...ip, interface: ip.interface + shift },
  );
  return {
    interfaces: [...previous.interfaces, ...own.interfaces],
    ips: [...previous.ips, ...ips],
    routes: [...previous.routes, ...own.routes],
    dns: Object.keys(own.dns).length > 0 ? own.dns : previous.dns,
  };
}

function parseDns(value: unknown): CniDns {
  if (value === undefined || value === null) return {};
  const item = record(value, "prevResult.dns");
  return {
    ...kept("nameservers", item["nameservers"], isTexts),
    ...kept("domain", item["domain"], isText),
    ...kept("search", item["search"], isTexts),
    ...kept("options", item["options"], isTexts),
  };
}

const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number";
const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(isText);

function kept<K extends string, T>(
  key: K,
  value: unknown,
  is: (value: unknown) => value is T,
): { [key in K]?: T } {
  return is(value) ? ({ [key]: value } as { [key in K]: T }) : {};
}

function record(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CniError(cniCodes.decode, `${path}: want an object`);
  }
  return value as Readonly<Record<string, unknown>>;
}

function list(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new CniError(cniCodes.decode, `${path}: want a list`);
  return value;
}

function text(value: unknown, path: string): string {
  if (typeof value !== "string") throw new CniError(cniCodes.decode, `${path}: want a string`);
  return value;
}
