/**
 * ServiceEntries. What is an error makes them mean nothing; a warning names what cannot be told apart, or is taken for
 * more than its writer may think.
 */

import { isIp } from "../../../base/ip.ts";
import type { ServiceEntryPort, ServiceEntrySpec } from "../../istio/service-entry.ts";
import { addressOrCidr } from "../address.ts";
import { isDnsLabel, labelKey, partialWildcardHost } from "../names.ts";
import { type Check, type Place, refine } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { nonEmpty, oneOf, portNumber, text } from "../schema/scalar.ts";
import { exportTo } from "./export-to.ts";
import { workloadEntrySpec } from "./workload-entry.ts";

const protocols: ReadonlySet<string> = new Set([
  "",
  "tcp",
  "udp",
  "tls",
  "https",
  "http",
  "http2",
  "grpc",
  "grpc-web",
  "mongo",
  "redis",
  "mysql",
]);

const host: Check = text((value) =>
  value === "*" ? "must not be every host" : partialWildcardHost(value),
);

const port: Check = record({
  "number!": portNumber,
  "name!": text((value) => (isDnsLabel(value.toLowerCase()) ? undefined : "must be a DNS label")),
  protocol: text((value) =>
    protocols.has(value.toLowerCase())
      ? undefined
      : "must be one of HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, TLS, TCP, UDP, MONGO, REDIS, MYSQL",
  ),
  targetPort: portNumber,
});

const selector: Check = record({
  labels: mapOf(
    text((value) => (value.includes("*") ? "must not have a wildcard" : undefined)),
    labelKey,
  ),
});

const resolutions = ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"];

export const serviceEntrySpec: Check = refine<ServiceEntrySpec>(
  record({
    "hosts!": list(host, 1),
    addresses: list(addressOrCidr),
    ports: list(port),
    location: oneOf("MESH_EXTERNAL", "MESH_INTERNAL"),
    resolution: oneOf(...resolutions),
    endpoints: list(workloadEntrySpec),
    workloadSelector: selector,
    exportTo,
    subjectAltNames: list(nonEmpty),
  }),
  (spec, at) => {
    portRules(spec.ports ?? [], at.field("ports"));
    resolutionRules(spec, at);
    endpointRules(spec, at.field("endpoints"));
    selectorRules(spec, at);
    recognitionRules(spec, at);
  },
);

function portRules(ports: readonly ServiceEntryPort[], at: Place): void {
  for (const field of ["name", "number"] as const) {
    const values = ports.map((one) => one[field]);
    for (const [index, value] of values.entries()) {
      if (values.indexOf(value) === index) continue;
      const shown = typeof value === "string" ? `"${value}"` : value;
      at.item(index).field(field).error(`must be unique, got ${shown}`);
    }
  }
}

function resolutionRules(spec: ServiceEntrySpec, at: Place): void {
  const { resolution = "NONE", hosts, addresses = [], endpoints = [] } = spec;
  const takesPrefixes = resolution === "NONE" || resolution === "STATIC";
  for (const [index, address] of addresses.entries()) {
    if (takesPrefixes || isIp(address)) continue;
    const where = at.field("addresses").item(index);
    where.error(`must be one address with resolution ${resolution}, got "${address}"`);
  }
  const asksForHosts = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
  for (const [index, name] of hosts.entries()) {
    const where = at.field("hosts").item(index);
    const isWildcard = name.startsWith("*");
    const hasOthers = endpoints.length > 0 || spec.workloadSelector !== undefined;
    if (isWildcard && asksForHosts && !hasOthers) {
      where.error(
        `must be a name that can be looked up: resolution ${resolution} without endpoints, got "${name}"`,
      );
    }
    if (!isWildcard && resolution === "DYNAMIC_DNS") {
      where.error(`must be a wildcard with resolution DYNAMIC_DNS, got "${name}"`);
    }
  }
  if (resolution === "DYNAMIC_DNS" && addresses.length > 0) {
    at.field("addresses").error(
      `must be absent with resolution DYNAMIC_DNS, got ${addresses.length}`,
    );
  }
}

function endpointRules(spec: ServiceEntrySpec, at: Place): void {
  const { resolution = "NONE", endpoints = [], ports = [] } = spec;
  const most = { NONE: 0, DYNAMIC_DNS: 0, DNS_ROUND_ROBIN: 1, STATIC: Infinity, DNS: Infinity };
  if (endpoints.length > most[resolution]) {
    at.error(
      `must be at most ${most[resolution]} with resolution ${resolution}, got ${endpoints.length}`,
    );
  }
  const names = new Set(ports.map(({ name }) => name));
  for (const [index, endpoint] of endpoints.entries()) {
    const { address = "" } = endpoint;
    const where = at.item(index);
    const isSocket = address.startsWith("unix://");
    if (resolution === "STATIC" && address !== "" && !isSocket && !isIp(address)) {
      where
        .field("address")
        .error(`must be an IP address with resolution STATIC, got "${address}"`);
    }
    if (resolution !== "STATIC" && isSocket) {
      where.field("address").error(`must be no unix socket with resolution ${resolution}`);
    }
    for (const name of Object.keys(endpoint.ports ?? {})) {
      if (!names.has(name))
        where.field("ports").entry(name).error("must be the name of one of spec.ports");
    }
  }
}

function selectorRules(spec: ServiceEntrySpec, at: Place): void {
  const { workloadSelector, endpoints, resolution = "NONE" } = spec;
  if (workloadSelector === undefined) return;
  const where = at.field("workloadSelector");
  if (endpoints !== undefined) where.error("must be absent where there are endpoints");
  if (Object.keys(workloadSelector.labels ?? {}).length === 0) {
    where.warning("selects all pods and WorkloadEntries of the namespace: it has no labels");
  } else if (resolution === "NONE") {
    where.warning("selects nothing with resolution NONE, which is what is left out");
  }
}

/** Connections are told apart by address, HTTP by host, TLS by the name that it asks for. */
function recognitionRules(spec: ServiceEntrySpec, at: Place): void {
  const { hosts, addresses = [], ports = [], resolution = "NONE" } = spec;
  const isOpaque = ({ protocol = "" }: ServiceEntryPort): boolean =>
    ["tcp", "", "mongo", "redis", "mysql"].includes(protocol.toLowerCase());
  if (resolution === "NONE" && addresses.length === 0) {
    for (const [index, one] of ports.entries()) {
      if (!isOpaque(one)) continue;
      const where = at.field("ports").item(index);
      where.warning(
        `takes every connection to port ${one.number} that nobody else takes: there are no addresses`,
      );
    }
  }
  if (hosts.length > 1 && addresses.length > 0 && ports.some((one) => !isHttp(one))) {
    at.field("addresses").warning(
      "are the same for several hosts: only HTTP tells which of them is meant",
    );
  }
}

function isHttp({ protocol = "" }: ServiceEntryPort): boolean {
  return ["http", "http2", "grpc", "grpc-web"].includes(protocol.toLowerCase());
}
