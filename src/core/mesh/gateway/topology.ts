/**
 * What stands in front of a gateway: Istio's `gatewayTopology`, of the annotation `proxy.istio.io/config` of its pods.
 *
 * Without it nobody is believed: a client's address is the connection's.
 */

import type { Pod } from "../../../api/k8s/core.ts";
import { isRecord } from "../../../base/json.ts";
import type { Listener } from "../../../model/proxy-config.ts";
import type { ProxyContext } from "../context.ts";
import { describe } from "../visibility.ts";

const annotation = "proxy.istio.io/config";

/** Istio's type for it, and that of the message to the gateway. */
const most = 0xffffffff;

export interface Topology {
  /** Proxies that speak HTTP. */
  readonly trustedProxies?: number;
  /** Of one that speaks TCP, connections begin with a PROXY header. */
  readonly proxyProtocol?: NonNullable<Listener["proxyProtocol"]>;
}

export function topologyOf(context: ProxyContext, pod: Pod): Topology {
  const text = pod.metadata.annotations?.[annotation];
  if (text === undefined) return {};
  const refuse = (message: string): Topology => {
    const where = `${describe({ ...pod, kind: "Pod" })} metadata.annotations[${annotation}]`;
    context.note({ severity: "error", code: "HEDDLE0117", where, message });
    return {};
  };
  const config = parsed(text);
  if (!isRecord(config))
    return refuse("want a JSON object: nobody in front of the gateway is believed");
  const { gatewayTopology: topology = {} } = config;
  if (!isRecord(topology)) return refuse("gatewayTopology: want an object");
  const { numTrustedProxies: number = 0, proxyProtocol } = topology;
  if (typeof number !== "number" || !Number.isInteger(number) || number < 0 || number > most) {
    return refuse(
      `gatewayTopology.numTrustedProxies: want a number of proxies, got ${JSON.stringify(number)}`,
    );
  }
  if (proxyProtocol !== undefined && !isRecord(proxyProtocol)) {
    return refuse(
      `gatewayTopology.proxyProtocol: want an object, got ${JSON.stringify(proxyProtocol)}`,
    );
  }
  return {
    ...(number === 0 ? {} : { trustedProxies: number }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol: "required" as const }),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
