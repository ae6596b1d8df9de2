/** What the agent says of itself as metrics: its status in numbers, made when asked. */

import { renderText } from "../telemetry/exposition.ts";
import { MetricRegistry } from "../telemetry/registry.ts";
import type { AgentStatus } from "./status.ts";

/** In Prometheus' text format. */
export function renderMetrics(status: AgentStatus): string {
  const registry = new MetricRegistry();
  const gauge = (name: string, help: string, value: number) =>
    registry.gauge({ name, help, labels: [] }).with().set(value);
  const { attachments } = status;
  gauge("heddle_agent_in_sync", "1 while the kernel has what is wanted.", status.inSync ? 1 : 0);
  gauge("heddle_agent_attachments", "Interfaces of pods that the node has.", attachments.length);
  gauge(
    "heddle_agent_broken_links",
    "Pods' links that could not be made as they are wanted.",
    attachments.filter(({ fault }) => fault !== undefined).length,
  );
  gauge("heddle_agent_addresses_in_use", "Addresses of pods.", status.addressesInUse);
  const sidecars = registry.gauge({
    name: "heddle_agent_sidecars",
    help: "Sidecars of pods, by state.",
    labels: ["state"],
  });
  for (const state of ["starting", "ready", "down"] as const) {
    const count = attachments.filter(({ sidecar }) => sidecar?.kind === state).length;
    sidecars.with({ state }).set(count);
  }
  wireguardMetrics(registry, status);
  return renderText(registry);
}

function wireguardMetrics(registry: MetricRegistry, { wireguardPeers = [] }: AgentStatus): void {
  const labels = ["peer"] as const;
  const age = registry.gauge({
    name: "heddle_agent_wireguard_handshake_age_seconds",
    help: "Since the last handshake with the node; absent where there was none.",
    labels,
  });
  const bytes = registry.counter({
    name: "heddle_agent_wireguard_bytes_total",
    help: "Encrypted bytes from and to the node.",
    labels: ["peer", "direction"],
  });
  for (const { node: peer, handshakeAgeSeconds, receivedBytes, sentBytes } of wireguardPeers) {
    if (handshakeAgeSeconds !== undefined) age.with({ peer }).set(handshakeAgeSeconds);
    bytes.with({ peer, direction: "received" }).add(receivedBytes);
    bytes.with({ peer, direction: "sent" }).add(sentBytes);
  }
}
