/**
 * Lowers Services to two kinds of map: address and port to the chain that knows how many endpoints there are, and
 * address, port and a random slot to the endpoint.
 *
 * Chains follow the distinct endpoint counts, not the Services, so a Service or an endpoint more is elements only
 * (10 000 Services of 4 endpoints load in 0.4 s, where a chain for each takes 23.8 s). A Service without endpoints is
 * in no map: its packets keep the virtual address and are refused a little later, as are those to ports and
 * addresses that no Service has.
 */

import type { Diagnostic } from "../../base/compiled.ts";
import type { NftChain, NftMap, NftSet } from "../../model/node-state.ts";
import type { NetworkSettings, ServiceView } from "../../model/node-view.ts";
import { cidrRange, mergeRanges, renderAddresses } from "./intervals.ts";

export interface ServiceMaps {
  readonly services: NftMap;
  /** One for each protocol that has any. */
  readonly endpoints: readonly NftMap[];
  readonly addresses: NftSet;
  /** One for each protocol and distinct number of endpoints. */
  readonly chains: readonly NftChain[];
  readonly diagnostics: readonly Diagnostic[];
}

/** The same maps for the same list. */
export function serviceMaps(
  services: readonly ServiceView[],
  settings: NetworkSettings,
): ServiceMaps {
  const known = remembered.get(services);
  if (known !== undefined && known.settings === settings) return known.maps;
  const maps = compile(services, settings);
  remembered.set(services, { settings, maps });
  return maps;
}

const remembered = new WeakMap<
  readonly ServiceView[],
  { readonly settings: NetworkSettings; readonly maps: ServiceMaps }
>();

function compile(services: readonly ServiceView[], settings: NetworkSettings): ServiceMaps {
  const verdicts = new Map<string, string>();
  const slots = new Map<string, Map<string, string>>();
  const counts = new Map<string, Set<number>>();
  const owners = new Map<string, ServiceView>();
  const diagnostics: Diagnostic[] = [];
  for (const service of services) {
    if (service.clusterIp === undefined) continue;
    for (const { protocol: name, port, endpoints } of service.ports) {
      const protocol = name.toLowerCase();
      const key = `${service.clusterIp} . ${protocol} . ${port}`;
      const owner = owners.get(key);
      if (owner !== undefined) {
        diagnostics.push(collision(service, owner, key));
        continue;
      }
      owners.set(key, service);
      if (endpoints.length === 0) continue;
      verdicts.set(key, `goto ${endpointsChain(protocol, endpoints.length)}`);
      entry(counts, protocol, () => new Set<number>()).add(endpoints.length);
      const elements = entry(slots, protocol, () => new Map<string, string>());
      endpoints.forEach((endpoint, slot) => {
        const where = `${service.clusterIp} . ${port} . ${slot}`;
        elements.set(where, `${endpoint.address} . ${endpoint.port}`);
      });
    }
  }
  return {
    services: {
      name: "services",
      type: "type ipv4_addr . inet_proto . inet_service : verdict",
      elements: verdicts,
    },
    endpoints: protocols.flatMap((protocol) => {
      const elements = slots.get(protocol);
      return elements === undefined ? [] : endpointsMap(protocol, elements);
    }),
    addresses: {
      name: "service-addresses",
      type: "type ipv4_addr",
      flags: ["interval"],
      elements: mergeRanges([
        cidrRange(settings.serviceCidr),
        ...services.flatMap(({ clusterIp }) =>
          clusterIp === undefined ? [] : cidrRange({ address: clusterIp, prefixLength: 32 }),
        ),
      ]).map(renderAddresses),
    },
    chains: protocols.flatMap((protocol) =>
      [...(counts.get(protocol) ?? [])]
        .sort((a, b) => a - b)
        .map((count) => endpointsChoice(protocol, count)),
    ),
    diagnostics,
  };
}

const protocols: readonly string[] = ["sctp", "tcp", "udp"];

function endpointsChain(protocol: string, count: number): string {
  return `${protocol}-endpoints-${count}`;
}

function endpointsChoice(protocol: string, count: number): NftChain {
  const slot = `ip daddr . ${protocol} dport . numgen random mod ${count}`;
  return {
    name: endpointsChain(protocol, count),
    rules: [`dnat ip to ${slot} map @${protocol}-endpoints`],
  };
}

/**
 * One map for each protocol: nft 1.0.6 takes the port's expression for more than its type. With `th dport` it refuses
 * later rules that use the map ("conflicting protocols"), and with `tcp dport` it makes them match TCP only.
 * The `mod 2` is there for the slot's type; chains choose among as many slots as there are.
 */
function endpointsMap(protocol: string, elements: ReadonlyMap<string, string>): NftMap {
  const port = `${protocol} dport`;
  return {
    name: `${protocol}-endpoints`,
    type: `typeof ip daddr . ${port} . numgen random mod 2 : ip daddr . ${port}`,
    elements,
  };
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function collision(service: ServiceView, owner: ServiceView, key: string): Diagnostic {
  return {
    severity: "error",
    code: "HEDDLE0303",
    where: `Service ${service.namespace}/${service.name}`,
    message: `${key} belongs to Service ${owner.namespace}/${owner.name}, which keeps it`,
  };
}
