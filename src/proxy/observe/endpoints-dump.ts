/**
 * The endpoints of `/config_dump`, each with its health as it is: Envoy tells that here, not what was configured, and tools
 * choose by it.
 */

import type { Json } from "../../base/json.ts";
import type { ClusterEndpoints } from "../../model/proxy-config.ts";
import { encodeEndpoints } from "../../wire/xds/endpoints.ts";
import type { JsonObject } from "../../wire/xds/struct.ts";
import type { Sidecar } from "../sidecar.ts";
import type { Host } from "../upstream/host.ts";
import { resourceJson } from "./resource-json.ts";

export function endpointsDump({ tables }: Sidecar): readonly JsonObject[] {
  const hosts = new Map<string, Host>();
  for (const { name, discovery } of tables.config.clusters) {
    const endpoints = discovery.kind === "eds" ? (discovery.endpoints ?? name) : name;
    for (const host of tables.clusters.get(name)?.hosts ?? []) {
      hosts.set(`${endpoints} ${host.key}`, host);
    }
  }
  return tables.config.endpoints.map((one) => withHealth(one, hosts));
}

function withHealth(of: ClusterEndpoints, hosts: ReadonlyMap<string, Host>): JsonObject {
  const json = resourceJson(encodeEndpoints(of)) as unknown as Assignment;
  const endpoints = json.endpoints?.map((locality) => ({
    ...locality,
    lb_endpoints: locality.lb_endpoints?.map((each) => {
      const { address, port_value } = each.endpoint.address.socket_address;
      const host = hosts.get(`${of.cluster} ${address}:${port_value}`);
      return host === undefined ? each : { ...each, health_status: healthOf(host) };
    }),
  }));
  return { ...json, ...(endpoints && { endpoints }) } as JsonObject;
}

function isWell(host: Host): boolean {
  return !host.isEjected && !host.checked.isUnwell && host.endpoint.isUnhealthy !== true;
}

function healthOf(host: Host): Json {
  return isWell(host) ? "HEALTHY" : "UNHEALTHY";
}

/** As `encodeEndpoints` makes it. */
interface Assignment {
  readonly endpoints?: readonly {
    readonly lb_endpoints?: readonly {
      readonly endpoint: {
        readonly address: {
          readonly socket_address: { readonly address: string; readonly port_value: number };
        };
      };
    }[];
  }[];
}
