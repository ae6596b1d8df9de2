/**
 * What is in force, in the forms of Envoy's admin interface (`envoy.admin.v3`), which tools for Envoy read.
 *
 * Resources are encoded anew, each time somebody asks: nothing of that stays. Keys are left out.
 */

import type { Secret } from "../../model/proxy-config.ts";
import { encodeCluster } from "../../wire/xds/cluster.ts";
import { encodeListener } from "../../wire/xds/listener.ts";
import { typeUrls } from "../../wire/xds/resources.ts";
import { encodeRoutes } from "../../wire/xds/route-config.ts";
import type { JsonObject } from "../../wire/xds/struct.ts";
import type { Sidecar } from "../sidecar.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";
import type { Host } from "../upstream/host.ts";
import { endpointsDump } from "./endpoints-dump.ts";
import { resourceJson } from "./resource-json.ts";

const admin = "type.googleapis.com/envoy.admin.v3";

/** `/config_dump`; endpoints only where they are asked for, as with Envoy. */
export function configDump(sidecar: Sidecar, withEndpoints: boolean): JsonObject {
  const { version: version_info, config, secrets } = sidecar.tables;
  const endpoints = {
    "@type": `${admin}.EndpointsConfigDump`,
    dynamic_endpoint_configs: endpointsDump(sidecar).map((endpoint_config) => ({
      version_info,
      endpoint_config,
    })),
  };
  return {
    configs: [
      {
        "@type": `${admin}.BootstrapConfigDump`,
        bootstrap: { node: nodeJson(sidecar) },
      },
      {
        "@type": `${admin}.ClustersConfigDump`,
        version_info,
        dynamic_active_clusters: config.clusters.map((one) => ({
          version_info,
          cluster: resourceJson(encodeCluster(one)),
        })),
      },
      ...(withEndpoints ? [endpoints] : []),
      {
        "@type": `${admin}.ListenersConfigDump`,
        version_info,
        dynamic_listeners: config.listeners.map((one) => ({
          name: one.name,
          active_state: { version_info, listener: resourceJson(encodeListener(one)) },
        })),
      },
      {
        "@type": `${admin}.RoutesConfigDump`,
        dynamic_route_configs: config.routes.map((one) => ({
          version_info,
          route_config: resourceJson(encodeRoutes(one)),
        })),
      },
      {
        "@type": `${admin}.SecretsConfigDump`,
        dynamic_active_secrets: [...secrets, ...(config.secrets ?? [])].map((one) => ({
          name: one.name,
          version_info,
          secret: secretJson(one),
        })),
      },
    ],
  };
}

function nodeJson({ runtime }: Sidecar): JsonObject {
  const { id, namespace, pod, workload } = runtime.environment.node;
  return {
    id,
    cluster: `${workload.app}.${namespace}`,
    metadata: { NAME: pod, NAMESPACE: namespace, SERVICE_ACCOUNT: workload.serviceAccount },
  };
}

/** With the key as Envoy shows one. */
function secretJson(secret: Secret): JsonObject {
  const inline = (text: string): JsonObject => ({
    inline_bytes: Buffer.from(text).toString("base64"),
  });
  const content =
    secret.kind === "certificate"
      ? {
          tls_certificate: {
            certificate_chain: inline(secret.chain),
            private_key: inline("[redacted]"),
          },
        }
      : { validation_context: { trusted_ca: inline(secret.roots) } };
  return { "@type": typeUrls.secret, name: secret.name, ...content };
}

/** `/clusters?format=json`. */
export function clusterStatuses({ tables }: Sidecar): JsonObject {
  return { cluster_statuses: [...tables.clusters.values()].map(clusterStatus) };
}

function clusterStatus(cluster: ClusterRuntime): JsonObject {
  return {
    name: cluster.name,
    observability_name: cluster.name,
    added_via_api: true,
    host_statuses: cluster.hosts.map(hostStatus),
  };
}

function hostStatus(host: Host): JsonObject {
  const { region = "", zone = "", subZone: sub_zone = "" } = host.endpoint.locality ?? {};
  const gauge = (name: string, value: number): JsonObject => ({
    type: "GAUGE",
    name,
    value: String(value),
  });
  return {
    address: socketAddress(host.address, host.port),
    stats: [
      gauge("cx_active", host.connections),
      gauge("cx_idle", host.pooled.idle),
      gauge("rq_active", host.active),
    ],
    health_status: {
      ...(host.isEjected ? { failed_outlier_check: true } : {}),
      ...(host.checked.isUnwell ? { failed_active_health_check: true } : {}),
      eds_health_status: host.endpoint.isUnhealthy === true ? "UNHEALTHY" : "HEALTHY",
    },
    weight: host.endpoint.weight,
    priority: host.priority,
    locality: { region, zone, sub_zone },
  };
}

/** `/clusters`: a line for each of what Envoy says of a host and Heddle knows. */
export function clusterLines({ tables }: Sidecar): string {
  const lines: string[] = [];
  for (const cluster of tables.clusters.values()) {
    lines.push(`${cluster.name}::added_via_api::true`);
    for (const host of cluster.hosts) {
      const { region = "", zone = "", subZone = "" } = host.endpoint.locality ?? {};
      const facts = {
        cx_active: host.connections,
        rq_active: host.active,
        weight: host.weight,
        health_flags: healthFlags(host),
        priority: host.priority,
        region,
        zone,
        sub_zone: subZone,
      };
      for (const [name, value] of Object.entries(facts)) {
        lines.push(`${cluster.name}::${host.key}::${name}::${value}`);
      }
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

function healthFlags(host: Host): string {
  const flags = [
    host.isEjected ? "/failed_outlier_check" : "",
    host.checked.isUnwell ? "/failed_active_hc" : "",
    host.endpoint.isUnhealthy === true ? "/failed_eds_health" : "",
  ];
  return flags.join("") || "healthy";
}

/** `/listeners?format=json`. */
export function listenerStatuses(sidecar: Sidecar): JsonObject {
  return {
    listener_statuses: boundListeners(sidecar).map(({ name, address, port }) => ({
      name,
      local_address: socketAddress(address, port),
    })),
  };
}

/** `/listeners`. */
export function listenerLines(sidecar: Sidecar): string {
  return boundListeners(sidecar)
    .map(({ name, address, port }) => `${name}::${address}:${port}\n`)
    .join("");
}

interface Bound {
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

function boundListeners(sidecar: Sidecar): readonly Bound[] {
  return sidecar.tables.listeners
    .filter(({ bindToPort }) => bindToPort)
    .map(({ name, address, port }) => ({ name, address, port: sidecar.portOf(name) ?? port }));
}

function socketAddress(address: string, port: number): JsonObject {
  return { socket_address: { address, port_value: port } };
}
