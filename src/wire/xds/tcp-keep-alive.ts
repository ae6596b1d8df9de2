/** How the kernel finds out that the peer of a connection to an endpoint is gone. */

import type { Cluster, KeepAlive } from "../../model/proxy-config.ts";
import { given } from "./field.ts";
import type * as wire from "./gen/message-types.ts";

type Fields = Pick<wire.Cluster, "upstreamConnectionOptions">;

export function encodeTcpKeepAlive({ keepAlive }: Pick<Cluster, "keepAlive">): Fields {
  if (keepAlive === undefined) return {};
  const { timeMs, intervalMs, probes } = keepAlive;
  return {
    upstreamConnectionOptions: {
      tcpKeepalive: {
        ...given("keepaliveProbes", wrapped(probes)),
        ...given("keepaliveTime", wrapped(seconds(timeMs))),
        ...given("keepaliveInterval", wrapped(seconds(intervalMs))),
      },
    },
  };
}

export function decodeTcpKeepAlive(fields: Fields): KeepAlive | undefined {
  const keepAlive = fields.upstreamConnectionOptions?.tcpKeepalive;
  if (keepAlive === undefined) return undefined;
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

function wrapped(value: number | undefined): wire.UInt32Value | undefined {
  return value === undefined ? undefined : { value };
}
