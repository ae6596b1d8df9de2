/**
 * What the server counts of its own work, by Istio's names where istiod counts the same, because people's dashboards and
 * alerts ask for them: configuration pushed to sidecars, how long that takes, certificates, what the mesh has.
 *
 * Left out is what has no like here: there is no injector, no queue of pushes and no debounce, and configuration is
 * compiled for all types at once, so that no time is any one type's.
 *
 * Not here: who counts (xds/pushes.ts, xds/certificates.ts), and where it is served (metrics-port.ts).
 */

import { X509Certificate } from "node:crypto";
import type { VirtualService } from "../api/istio/networking.ts";
import { meshServices } from "../core/mesh/services.ts";
import { objectsOf, type World } from "../core/registry/world.ts";
import {
  type Counter,
  type Family,
  type Gauge,
  type Histogram,
  MetricRegistry,
} from "../telemetry/registry.ts";

export interface ServerMetrics {
  readonly registry: MetricRegistry;
  /** Connected now. */
  readonly sidecars: Gauge;
  readonly agents: Gauge;
  /** To sidecars; label `type`. */
  readonly pushes: Family<Counter>;
  readonly pushedBytes: Family<Histogram>;
  readonly rejects: Family<Counter>;
  readonly convergenceSeconds: Histogram;
  readonly internalErrors: Counter;
  readonly certificates: CertificateMetrics;
}

export interface CertificateMetrics {
  readonly requested: Counter;
  readonly issued: Counter;
  /** By what went wrong. */
  readonly unauthorized: Counter;
  readonly unreadable: Counter;
  readonly unsigned: Counter;
}

/** Istio's, seconds. */
const convergenceBounds: readonly number[] = [0.1, 0.5, 1, 3, 5, 10, 20, 30];
/** Istio's: 4 MB is gRPC's own limit, 40 MB about the most that anybody has. */
const sizeBounds: readonly number[] = [1, 1e4, 1e6, 4e6, 1e7, 4e7];

export function serverMetrics(): ServerMetrics {
  const registry = new MetricRegistry();
  const gauge = (name: string, help: string) => registry.gauge({ name, help, labels: [] }).with();
  const counter = (name: string, help: string) =>
    registry.counter({ name, help, labels: [] }).with();
  const byType = (name: string, help: string) => ({ name, help, labels: ["type"] });
  const size = byType("pilot_xds_config_size_bytes", "Sizes of what was pushed to sidecars.");
  return {
    registry,
    sidecars: gauge("pilot_xds", "Sidecars and gateways that are connected."),
    agents: gauge("heddle_server_agents", "Agents of nodes that are connected."),
    pushes: registry.counter(
      byType("pilot_xds_pushes", "Responses with configuration sent to sidecars."),
    ),
    pushedBytes: registry.histogram({ ...size, bounds: sizeBounds }),
    rejects: registry.counter(
      byType("pilot_total_xds_rejects", "Responses with configuration that sidecars refused."),
    ),
    convergenceSeconds: registry
      .histogram({
        name: "pilot_proxy_convergence_time",
        help: "Seconds from a change until a sidecar that it concerns has answered what it was sent.",
        labels: [],
        bounds: convergenceBounds,
      })
      .with(),
    internalErrors: counter(
      "pilot_total_xds_internal_errors",
      "Configurations that could not be made.",
    ),
    certificates: {
      requested: counter("citadel_server_csr_count", "Requests for certificates."),
      issued: counter("citadel_server_success_cert_issuance_count", "Certificates issued."),
      unauthorized: counter(
        "citadel_server_authentication_failure_count",
        "Requests for certificates of callers that may not have them.",
      ),
      unreadable: counter(
        "citadel_server_csr_parsing_err_count",
        "Signing requests that could not be read, or are not to be signed.",
      ),
      unsigned: counter("citadel_server_csr_sign_err_count", "Signatures that failed."),
    },
  };
}

export interface Measured {
  readonly world: () => World;
  readonly rootPem: string;
  readonly now: () => number;
}

/** Numbers that are there anyway, read when somebody asks. */
export function measure(registry: MetricRegistry, { world, rootPem, now }: Measured): void {
  const gauge = (name: string, help: string) => registry.gauge({ name, help, labels: [] }).with();
  const services = gauge("pilot_services", "Services and hosts of ServiceEntries in the mesh.");
  const rules = gauge("pilot_virt_services", "VirtualServices.");
  const expiry = gauge(
    "citadel_server_root_cert_expiry_timestamp",
    "When the root certificate expires, in seconds since 1970.",
  );
  const left = gauge(
    "citadel_server_root_cert_expiry_seconds",
    "Until the root certificate expires; negative after that.",
  );
  const resident = gauge("process_resident_memory_bytes", "Memory that the server holds.");
  const started = gauge("process_start_time_seconds", "When it started, since 1970.");
  const cpu = registry
    .counter({ name: "process_cpu_seconds_total", help: "CPU time that it has used.", labels: [] })
    .with();
  const expires = Date.parse(new X509Certificate(rootPem).validTo) / 1000;
  started.set(Math.round(now() / 1000 - process.uptime()));
  registry.onCollect(() => {
    services.set(meshServices(world()).length);
    rules.set(objectsOf<VirtualService>(world(), "VirtualService").length);
    expiry.set(expires);
    left.set(Math.round(expires - now() / 1000));
    resident.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    cpu.value = (user + system) / 1e6;
  });
}
