/**
 * Which HTTP a cluster's endpoints are spoken to in, and how long its connections live.
 *
 * All of it travels in one extension of the cluster: Envoy looks at the cluster's own `common_http_protocol_options`
 * only where that is absent, and so does who reads here.
 */

import type { Cluster, Http2KeepAlive } from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, given, pack, required, unpack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { HttpProtocolOptions } from "./gen/messages.ts";

type Http = Pick<
  Cluster,
  | "protocol"
  | "idleTimeoutMs"
  | "maxRequestsPerConnection"
  | "maxConnectionDurationMs"
  | "maxConcurrentStreams"
  | "http2KeepAlive"
>;

const extension = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** HTTP/1.1 is what Envoy speaks where nothing is said. */
export function encodeHttpProtocol(
  http: Http,
): Pick<wire.Cluster, "typedExtensionProtocolOptions"> {
  const commonHttpProtocolOptions = encodeLife(http);
  if (http.protocol === undefined && commonHttpProtocolOptions === undefined) return {};
  const options = {
    ...given("commonHttpProtocolOptions", commonHttpProtocolOptions),
    ...encodeVersion(http),
  };
  return { typedExtensionProtocolOptions: { [extension]: pack(HttpProtocolOptions, options) } };
}

export function decodeHttpProtocol(cluster: wire.Cluster, path: string): Http {
  const any = cluster.typedExtensionProtocolOptions?.[extension];
  if (any === undefined) return decodeLife(cluster.commonHttpProtocolOptions);
  const at = `${path}.typed_extension_protocol_options[${extension}]`;
  const options = unpack(HttpProtocolOptions, any, at);
  return { ...decodeLife(options.commonHttpProtocolOptions), ...decodeVersion(options, at) };
}

function encodeVersion(
  http: Http,
): Pick<wire.HttpProtocolOptions, "explicitHttpConfig" | "useDownstreamProtocolConfig"> {
  const http2ProtocolOptions = {
    ...given("maxConcurrentStreams", wrapped(http.maxConcurrentStreams)),
    ...given("connectionKeepalive", http.http2KeepAlive && encodeKeepAlive(http.http2KeepAlive)),
  };
  switch (http.protocol) {
    case "http/2":
      return { explicitHttpConfig: { http2ProtocolOptions } };
    case "downstream":
      return { useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions } };
    default:
      return { explicitHttpConfig: { httpProtocolOptions: {} } };
  }
}

function decodeVersion(
  options: wire.HttpProtocolOptions,
  path: string,
): Pick<Http, "protocol" | "maxConcurrentStreams" | "http2KeepAlive"> {
  const { explicitHttpConfig: explicit, useDownstreamProtocolConfig: downstream } = options;
  const http2 = (downstream ?? explicit)?.http2ProtocolOptions;
  const isExplicit = downstream === undefined && http2 !== undefined;
  const at = `${path}.${downstream === undefined ? "explicit_http_config" : "use_downstream_protocol_config"}`;
  const keepAlive = http2?.connectionKeepalive;
  return {
    ...given("protocol", downstream === undefined ? undefined : ("downstream" as const)),
    ...given("protocol", isExplicit ? ("http/2" as const) : undefined),
    ...given("maxConcurrentStreams", http2?.maxConcurrentStreams?.value || undefined),
    ...given(
      "http2KeepAlive",
      keepAlive && decodeKeepAlive(keepAlive, `${at}.http2_protocol_options.connection_keepalive`),
    ),
  };
}

function encodeLife(http: Http): wire.CommonHttpOptions | undefined {
  const options = {
    ...given("idleTimeout", duration(http.idleTimeoutMs)),
    ...given("maxConnectionDuration", duration(http.maxConnectionDurationMs)),
    ...given("maxRequestsPerConnection", wrapped(http.maxRequestsPerConnection)),
  };
  return Object.keys(options).length === 0 ? undefined : options;
}

function decodeLife(options: wire.CommonHttpOptions | undefined): Http {
  return {
    ...given("idleTimeoutMs", decodeDuration(options?.idleTimeout)),
    ...given("maxConnectionDurationMs", decodeDuration(options?.maxConnectionDuration)),
    ...given("maxRequestsPerConnection", options?.maxRequestsPerConnection?.value),
  };
}

function encodeKeepAlive({ intervalMs, timeoutMs }: Http2KeepAlive): wire.KeepaliveSettings {
  return { interval: encodeDuration(intervalMs), timeout: encodeDuration(timeoutMs) };
}

/** Without an interval Envoy asks only when a connection has been idle, which is not done here. */
function decodeKeepAlive(
  { interval, timeout }: wire.KeepaliveSettings,
  path: string,
): Http2KeepAlive | undefined {
  const intervalMs = decodeDuration(interval);
  if (intervalMs === undefined) return undefined;
  return { intervalMs, timeoutMs: required(decodeDuration(timeout), `${path}.timeout`) };
}

function duration(ms: number | undefined): wire.Duration | undefined {
  return ms === undefined ? undefined : encodeDuration(ms);
}

function wrapped(value: number | undefined): wire.UInt32Value | undefined {
  return value === undefined ? undefined : { value };
}
