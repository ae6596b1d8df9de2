/**
 * The PROXY protocol: as a filter of listeners that read its header, as a transport socket of clusters that write it.
 *
 * A header before TLS is not written, and so refused here.
 */

import type { Cluster, Listener } from "../../model/proxy-config.ts";
import { invalid, isPacked, pack, unpack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  ProxyProtocol,
  ProxyProtocolVersion,
  RawBuffer,
  UpstreamProxyProtocol,
} from "./gen/messages.ts";

type Reads = NonNullable<Listener["proxyProtocol"]>;
type Writes = NonNullable<Cluster["proxyProtocol"]>;

export function encodeReading(reads: Reads): wire.ListenerFilter {
  const allowRequestsWithoutProxyProtocol = reads === "optional";
  return {
    name: "envoy.filters.listener.proxy_protocol",
    typedConfig: pack(ProxyProtocol, { allowRequestsWithoutProxyProtocol }),
  };
}

/** Undefined where no filter of the listener reads one. */
export function decodeReading(
  filters: readonly wire.ListenerFilter[],
  path: string,
): Reads | undefined {
  const at = filters.findIndex(({ typedConfig }) => isPacked(typedConfig, ProxyProtocol));
  if (at < 0) return undefined;
  const filter = unpack(ProxyProtocol, filters[at]?.typedConfig, `${path}[${at}].typed_config`);
  return filter.allowRequestsWithoutProxyProtocol === true ? "optional" : "required";
}

export function encodeWriting(writes: Writes): wire.TransportSocket {
  const version = writes === "v1" ? ProxyProtocolVersion.V1 : ProxyProtocolVersion.V2;
  return {
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    typedConfig: pack(UpstreamProxyProtocol, {
      config: { version },
      transportSocket: {
        name: "envoy.transport_sockets.raw_buffer",
        typedConfig: pack(RawBuffer, {}),
      },
    }),
  };
}

/** Undefined where the socket is another. */
export function decodeWriting(
  socket: wire.TransportSocket | undefined,
  path: string,
): Writes | undefined {
  if (!isPacked(socket?.typedConfig, UpstreamProxyProtocol)) return undefined;
  const { config, transportSocket } = unpack(
    UpstreamProxyProtocol,
    socket?.typedConfig,
    `${path}.typed_config`,
  );
  if (!isPacked(transportSocket?.typedConfig, RawBuffer)) {
    const type = transportSocket?.typedConfig?.typeUrl ?? "";
    throw invalid(`${path}.typed_config.transport_socket`, `want raw_buffer, got "${type}"`);
  }
  return (config?.version ?? 0) === ProxyProtocolVersion.V1 ? "v1" : "v2";
}
