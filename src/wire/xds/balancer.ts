/**
 * How a cluster spreads its requests: the policy, its settings, and slow start, which Envoy keeps with the policy.
 *
 * Envoy has no peak-EWMA: it travels as least request, and cluster metadata (`heddle.balancer`) tells our own proxies.
 */

import type { BalancerPolicy, SlowStart } from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, given, invalid } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { LbPolicy } from "./gen/messages.ts";

type BalancerFields = Pick<
  wire.Cluster,
  "lbPolicy" | "ringHashLbConfig" | "maglevLbConfig" | "leastRequestLbConfig" | "roundRobinLbConfig"
>;

export const peakEwma = "peak-ewma";

export function encodeBalancer(
  balancer: BalancerPolicy,
  slowStart: SlowStart | undefined,
): BalancerFields {
  const slow = slowStart && { slowStartConfig: encodeSlowStart(slowStart) };
  switch (balancer.kind) {
    case "least-request":
    case "peak-ewma":
      return { lbPolicy: LbPolicy.LEAST_REQUEST, ...given("leastRequestLbConfig", slow) };
    case "round-robin":
      return { lbPolicy: LbPolicy.ROUND_ROBIN, ...given("roundRobinLbConfig", slow) };
    case "random":
      return { lbPolicy: LbPolicy.RANDOM };
    case "ring-hash":
      return {
        lbPolicy: LbPolicy.RING_HASH,
        ringHashLbConfig: { minimumRingSize: { value: balancer.minimumRingSize } },
      };
    case "maglev":
      return {
        lbPolicy: LbPolicy.MAGLEV,
        maglevLbConfig: { tableSize: { value: balancer.tableSize } },
      };
  }
}

/** `own`: the name in our metadata. Sizes are Envoy's own where they are not said. */
export function decodeBalancer(
  message: BalancerFields,
  own: string | undefined,
  path: string,
): BalancerPolicy {
  switch (message.lbPolicy ?? LbPolicy.ROUND_ROBIN) {
    case LbPolicy.LEAST_REQUEST:
      return { kind: own === peakEwma ? "peak-ewma" : "least-request" };
    case LbPolicy.RANDOM:
      return { kind: "random" };
    case LbPolicy.ROUND_ROBIN:
    case LbPolicy.CLUSTER_PROVIDED:
      return { kind: "round-robin" };
    case LbPolicy.RING_HASH:
      return {
        kind: "ring-hash",
        minimumRingSize: message.ringHashLbConfig?.minimumRingSize?.value ?? 1_024,
      };
    case LbPolicy.MAGLEV:
      return {
        kind: "maglev",
        tableSize: checkedPrime(
          message.maglevLbConfig?.tableSize?.value ?? 65_537,
          `${path}.maglev_lb_config.table_size`,
        ),
      };
    default:
      throw invalid(`${path}.lb_policy`, `balancer ${message.lbPolicy} is not supported`);
  }
}

export function decodeSlowStart(message: BalancerFields): SlowStart | undefined {
  const slow =
    message.leastRequestLbConfig?.slowStartConfig ?? message.roundRobinLbConfig?.slowStartConfig;
  const windowMs = decodeDuration(slow?.slowStartWindow) ?? 0;
  if (slow === undefined || windowMs === 0) return undefined;
  return {
    windowMs,
    aggression: slow.aggression?.defaultValue ?? 1,
    minPercent: slow.minWeightPercent?.value ?? 10,
  };
}

function encodeSlowStart(slow: SlowStart): wire.SlowStartConfig {
  return {
    slowStartWindow: encodeDuration(slow.windowMs),
    aggression: { defaultValue: slow.aggression, runtimeKey: "" },
    minWeightPercent: { value: slow.minPercent },
  };
}

/** A table of another size would never fill: its hosts walk it in steps that must not divide its size. */
function checkedPrime(size: number, path: string): number {
  for (let divisor = 2; divisor * divisor <= size; divisor++) {
    if (size % divisor === 0) throw invalid(path, `want a prime, got ${size}`);
  }
  if (size < 2 || size > 5_000_011) throw invalid(path, `want 2 to 5000011, got ${size}`);
  return size;
}
