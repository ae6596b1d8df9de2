/** How long connections to endpoints live, and how the kernel finds out that a peer is gone. */

import type { Cluster, KeepAlive } from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, given } from "./field.ts";
import type * as wire from "./gen/message-types.ts";

type Life = Pick<
  Cluster,
  "idleTimeoutMs" | "maxRequestsPerConnection" | "maxConnectionDurationMs" | "keepAlive"
>;
type LifeFields = Pick<wire.Cluster, "commonHttpProtocolOptions" | "upstreamConnectionOptions">;

export function encodeConnectionLife(life: Life): LifeFields {
  const { idleTimeoutMs, maxRequestsPerConnection, maxConnectionDurationMs, keepAlive } = life;
  const options = {
    ...given("idleTimeout", duration(idleTimeoutMs)),
    ...given("maxConnectionDuration", duration(maxConnectionDurationMs)),
    ...given("maxRequestsPerConnection", wrapped(maxRequestsPerConnection)),
  };
  return {
    ...(Object.keys(options).length === 0 ? {} : { commonHttpProtocolOptions: options }),
    ...given(
      "upstreamConnectionOptions",
      keepAlive && { tcpKeepalive: encodeKeepAlive(keepAlive) },
    ),
  };
}

export function decodeConnectionLife(fields: LifeFields): Life {
  const { idleTimeout, maxConnectionDuration, maxRequestsPerConnection } =
    fields.commonHttpProtocolOptions ?? {};
  const keepAlive = fields.upstreamConnectionOptions?.tcpKeepalive;
  return {
    ...given("idleTimeoutMs", decodeDuration(idleTimeout)),
    ...given("maxConnectionDurationMs", decodeDuration(maxConnectionDuration)),
    ...given("maxRequestsPerConnection", maxRequestsPerConnection?.value),
    ...given("keepAlive", keepAlive && decodeKeepAlive(keepAlive)),
  };
}

function encodeKeepAlive({ timeMs, intervalMs, probes }: KeepAlive): wire.TcpKeepalive {
  return {
    ...given("keepaliveProbes", wrapped(probes)),
    ...given("keepaliveTime", wrapped(seconds(timeMs))),
    ...given("keepaliveInterval", wrapped(seconds(intervalMs))),
  };
}

function decodeKeepAlive(keepAlive: wire.TcpKeepalive): KeepAlive {
  const { keepaliveProbes: probes, keepaliveTime: time, keepaliveInterval: interval } = keepAlive;
  return {
    ...given("timeMs", milliseconds(time?.value)),
    ...given("intervalMs", milliseconds(interval?.value)),
    ...given("probes", probes?.value),
  };
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.ceil(ms / 1_000);
}

function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

function duration(ms: number | undefined): wire.Duration | undefined {
  return ms === undefined ? undefined : encodeDuration(ms);
}

function wrapped(value: number | undefined): wire.UInt32Value | undefined {
  return value === undefined ? undefined : { value };
}
