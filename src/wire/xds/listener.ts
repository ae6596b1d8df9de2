/**
 * Listeners and their filter chains.
 *
 * Listener filters follow from the chains: a TLS inspector where some chain asks for the transport, an HTTP inspector
 * where one asks for a detected protocol on plain connections. The original destination is recovered on both capturing
 * listeners; only the outbound one hands connections over to other listeners (`use_original_dst`).
 */

import type { FilterChain, FilterChainMatch, Listener } from "../../model/proxy-config.ts";
import { checkedPort, given, invalid, pack, required, wrappedBool } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  HttpInspector,
  Listener as ListenerMessage,
  OriginalDst,
  TlsInspector,
  TrafficDirection,
} from "./gen/messages.ts";
import { decodeFilters, encodeFilters } from "./network-filter.ts";
import { decodePrefix, encodePrefix } from "./prefix.ts";
import { decodeReading, encodeReading } from "./proxy-protocol.ts";
import type { EncodedResource } from "./resources.ts";
import { decodeResource, encodeResource, typeUrls } from "./resources.ts";
import { decodeDownstreamTls, encodeDownstreamTls } from "./tls.ts";

const originalDstName = "envoy.filters.listener.original_dst";

export function encodeListener(listener: Listener): EncodedResource {
  const { direction } = listener;
  const chains = listener.filterChains.map((chain) => encodeChain(chain, direction));
  const fallback =
    listener.defaultFilterChain && encodeChain(listener.defaultFilterChain, direction);
  return encodeResource(typeUrls.listener, listener.name, ListenerMessage, {
    name: listener.name,
    trafficDirection:
      direction === "inbound" ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
    address: { socketAddress: { address: listener.address, portValue: listener.port } },
    ...(listener.bindToPort ? {} : { bindToPort: { value: false } }),
    ...(listener.useOriginalDestination && direction === "outbound"
      ? { useOriginalDst: { value: true } }
      : {}),
    listenerFilters: listenerFilters(listener),
    // Istio's: wait for the client's first bytes however long they take.
    listenerFiltersTimeout: {},
    continueOnListenerFiltersTimeout: true,
    filterChains: chains,
    ...given("defaultFilterChain", fallback),
  });
}

export function decodeListener(resource: EncodedResource): Listener {
  const message = decodeResource(ListenerMessage, resource);
  const path = `Listener ${resource.name}`;
  const socket = message.address?.socketAddress;
  const direction = decodeDirection(message.trafficDirection, path);
  const fallback = message.defaultFilterChain;
  return {
    name: required(message.name, `${path}.name`),
    direction,
    address: required(socket?.address, `${path}.address.socket_address.address`),
    port: checkedPort(socket?.portValue, `${path}.address.socket_address.port_value`),
    bindToPort: wrappedBool(message.bindToPort, true),
    ...given(
      "proxyProtocol",
      decodeReading(message.listenerFilters ?? [], `${path}.listener_filters`),
    ),
    useOriginalDestination:
      wrappedBool(message.useOriginalDst, false) ||
      (message.listenerFilters ?? []).some((filter) => filter.name === originalDstName),
    filterChains: (message.filterChains ?? []).map((chain, index) =>
      decodeChain(chain, `${path}.filter_chains[${index}]`),
    ),
    ...given(
      "defaultFilterChain",
      fallback && decodeChain(fallback, `${path}.default_filter_chain`),
    ),
  };
}

function decodeDirection(value: number | undefined, path: string): Listener["direction"] {
  if (value === TrafficDirection.INBOUND) return "inbound";
  // Control planes that know no mesh do not say.
  if (value === TrafficDirection.OUTBOUND || (value ?? 0) === 0) return "outbound";
  throw invalid(`${path}.traffic_direction`, `want INBOUND or OUTBOUND, got ${value}`);
}

function listenerFilters(listener: Listener): wire.ListenerFilter[] {
  const matches = listener.filterChains.map((chain) => chain.match);
  const filters: wire.ListenerFilter[] = [];
  if (listener.proxyProtocol !== undefined) filters.push(encodeReading(listener.proxyProtocol));
  if (listener.useOriginalDestination && listener.direction === "inbound") {
    filters.push({ name: originalDstName, typedConfig: pack(OriginalDst, {}) });
  }
  if (matches.some((match) => match.transport !== undefined)) {
    filters.push({
      name: "envoy.filters.listener.tls_inspector",
      typedConfig: pack(TlsInspector, {}),
    });
  }
  if (matches.some((match) => match.transport !== "tls" && match.applicationProtocols)) {
    filters.push({
      name: "envoy.filters.listener.http_inspector",
      typedConfig: pack(HttpInspector, {}),
    });
  }
  return filters;
}

function encodeChain(chain: FilterChain, direction: Listener["direction"]): wire.FilterChain {
  return {
    name: chain.name,
    filterChainMatch: encodeMatch(chain.match),
    ...given("transportSocket", chain.tls && encodeDownstreamTls(chain.tls)),
    filters: encodeFilters(chain, direction),
  };
}

function decodeChain(chain: wire.FilterChain, path: string): FilterChain {
  const socket = chain.transportSocket;
  return {
    name: chain.name ?? "",
    match: decodeMatch(chain.filterChainMatch, `${path}.filter_chain_match`),
    ...given("tls", socket && decodeDownstreamTls(socket, `${path}.transport_socket`)),
    ...decodeFilters(chain.filters, path),
  };
}

function encodeMatch(match: FilterChainMatch): wire.FilterChainMatch {
  const port = match.destinationPort;
  return {
    ...given("destinationPort", port === undefined ? undefined : { value: port }),
    ...given("prefixRanges", match.destinations?.map(encodePrefix)),
    ...given("serverNames", match.serverNames),
    ...given("transportProtocol", match.transport && transportNames[match.transport]),
    ...given("applicationProtocols", match.applicationProtocols),
  };
}

const transportNames = { tls: "tls", raw: "raw_buffer" } as const;

function decodeMatch(match: wire.FilterChainMatch | undefined, path: string): FilterChainMatch {
  return {
    ...given("destinationPort", match?.destinationPort?.value),
    ...given(
      "destinations",
      match?.prefixRanges?.map((range, index) =>
        decodePrefix(range, `${path}.prefix_ranges[${index}]`),
      ),
    ),
    ...given("serverNames", match?.serverNames),
    ...given("transport", decodeTransport(match?.transportProtocol, `${path}.transport_protocol`)),
    ...given("applicationProtocols", match?.applicationProtocols),
  };
}

function decodeTransport(name: string | undefined, path: string): FilterChainMatch["transport"] {
  if (name === undefined || name === "") return undefined;
  if (name === transportNames.tls) return "tls";
  if (name === transportNames.raw) return "raw";
  throw invalid(path, `want tls or raw_buffer, got "${name}"`);
}
