/**
 * What a pod's resolver is told: whom to ask, where a short name may be from, and how patient to be.
 *
 * Name server and search list are Kubernetes' conventions. One second and five tries instead of the usual five and
 * two: a node's name server answers from memory, and while its agent is restarted, about a second, it is silent.
 */

import { familyOf } from "../../base/ip.ts";
import { clusterDomain, nameServers } from "../../model/names.ts";

/** In the form of CNI's `dns`. */
export interface ResolverSettings {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** `addresses`: the pod's. One of both families asks by IPv4. */
export function podResolver(namespace: string, addresses: readonly string[]): ResolverSettings {
  const isOnlyIpv6 = addresses.length > 0 && addresses.every((each) => familyOf(each) === "IPv6");
  const services = `svc.${clusterDomain}`;
  return {
    nameservers: [nameServers[isOnlyIpv6 ? "IPv6" : "IPv4"]],
    search: [`${namespace}.${services}`, services, clusterDomain],
    options: ["ndots:5", "timeout:1", "attempts:5"],
  };
}

/** The same as the text of /etc/resolv.conf. */
export function renderResolvConf({ nameservers, search, options }: ResolverSettings): string {
  return [
    ...nameservers.map((address) => `nameserver ${address}`),
    `search ${search.join(" ")}`,
    `options ${options.join(" ")}`,
    "",
  ].join("\n");
}
