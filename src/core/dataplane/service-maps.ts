/**
 * Lowers Services to two maps: address and port to the chain that knows how many endpoints there are, and address,
 * port and a random slot to the endpoint.
 *
 * Chains follow the distinct endpoint counts, not the Services, so a Service or an endpoint more is elements only
 * (10 000 Services of 4 endpoints load in 0.4 s, where a chain for each takes 23.8 s). A Service without endpoints is
 * in neither map: its packets keep the virtual address and are refused a little later, as are those to ports and
 * addresses that no Service has.
 */

import type { Diagnostic } from "../../base/compiled.ts";
import type { NftChain, NftMap, NftSet } from "../../model/node-state.ts";
import type { NetworkSettings, ServiceView } from "../../model/node-view.ts";
import { cidrRange, mergeRanges, renderAddresses } from "./intervals.ts";

export interface ServiceMaps {
  readonly services: NftMap;
  readonly endpoints: NftMap;
  readonly addresses: NftSet;
  /** One for each distinct number of endpoints. */
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
  const slots = new Map<string, string>();
  const counts = new Set<number>();
  const owners = new Map<string, ServiceView>();
  const diagnostics: Diagnostic[] = [];
  for (const service of services) {
    if (service.clusterIp === undefined) continue;
    for (const { protocol, port, endpoints } of service.ports) {
      const key = `${service.clusterIp} . ${protocol.toLowerCase()} . ${port}`;
      const owner = owners.get(key);
      if (owner !== undefined) {
        diagnostics.push(collision(service, owner, key));
        continue;
      }
      owners.set(key, service);
      if (endpoints.length === 0) continue;
      counts.add(endpoints.length);
      verdicts.set(key, `goto ${endpointsChain(endpoints.length)}`);
      endpoints.forEach((endpoint, slot) => {
        slots.set(`${key} . ${slot}`, `${endpoint.address} . ${endpoint.port}`);
      });
    }
  }
  return {
    services: {
      name: "services",
      type: "type ipv4_addr . inet_proto . inet_service : verdict",
      elements: verdicts,
    },
    endpoints: {
      name: "endpoints",
      // `mod 2` only gives the slot its type; the chains choose among as many slots as there are.
      type: "typeof ip daddr . meta l4proto . th dport . numgen random mod 2 : ip daddr . th dport",
      elements: slots,
    },
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
    chains: [...counts].sort((a, b) => a - b).map(endpointsChoice),
    diagnostics,
  };
}

function endpointsChain(count: number): string {
  return `endpoints-${count}`;
}

function endpointsChoice(count: number): NftChain {
  const slot = `ip daddr . meta l4proto . th dport . numgen random mod ${count}`;
  return { name: endpointsChain(count), rules: [`dnat ip to ${slot} map @endpoints`] };
}

function collision(service: ServiceView, owner: ServiceView, key: string): Diagnostic {
  return {
    severity: "error",
    code: "HEDDLE0303",
    where: `Service ${service.namespace}/${service.name}`,
    message: `${key} belongs to Service ${owner.namespace}/${owner.name}, which keeps it`,
  };
}
