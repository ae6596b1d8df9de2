/**
 * How a cluster spreads its requests, in the older form: `lb_policy` and a config beside it. It is what we write.
 *
 * What others write as a list of typed policies (`load_balancing_policy`) is read by balancer-list.ts, and then holds
 * alone, as with Envoy. What both forms say in the same words is read by balancer-config.ts.
 *
 * Envoy has no peak-EWMA: it travels as least request, and cluster metadata (`heddle.balancer`) tells our own proxies.
 */

import type { BalancerPolicy, SlowStart } from "../../model/proxy-config.ts";
import {
  type Balancing,
  decodeLeastRequest,
  decodeLocalities,
  decodeMaglev,
  decodeRingHash,
  decodeRoundRobin,
  encodeSlowStart,
  refuseOtherHashing,
} from "./balancer-config.ts";
import { decodeBalancerList } from "./balancer-list.ts";
import { given, invalid } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { LbPolicy } from "./gen/messages.ts";

type BalancerFields = Pick<
  wire.Cluster,
  | "lbPolicy"
  | "ringHashLbConfig"
  | "maglevLbConfig"
  | "leastRequestLbConfig"
  | "roundRobinLbConfig"
  | "loadBalancingPolicy"
  | "commonLbConfig"
>;

export const peakEwma = "peak-ewma";

export function encodeBalancer(
  balancer: BalancerPolicy,
  slowStart: SlowStart | undefined,
): BalancerFields {
  const slow = slowStart && { slowStartConfig: encodeSlowStart(slowStart) };
  switch (balancer.kind) {
    case "least-request": {
      const choices = balancer.choices && { choiceCount: { value: balancer.choices } };
      const config =
        slow === undefined && choices === undefined ? undefined : { ...choices, ...slow };
      return { lbPolicy: LbPolicy.LEAST_REQUEST, ...given("leastRequestLbConfig", config) };
    }
    case "peak-ewma":
      return { lbPolicy: LbPolicy.LEAST_REQUEST, ...given("leastRequestLbConfig", slow) };
    case "round-robin":
      return { lbPolicy: LbPolicy.ROUND_ROBIN, ...given("roundRobinLbConfig", slow) };
    case "random":
      return { lbPolicy: LbPolicy.RANDOM };
    case "ring-hash":
      return {
        lbPolicy: LbPolicy.RING_HASH,
        ringHashLbConfig: {
          minimumRingSize: { value: balancer.minimumRingSize },
          ...given(
            "maximumRingSize",
            balancer.maximumRingSize === undefined
              ? undefined
              : { value: balancer.maximumRingSize },
          ),
        },
      };
    case "maglev":
      return {
        lbPolicy: LbPolicy.MAGLEV,
        maglevLbConfig: { tableSize: { value: balancer.tableSize } },
      };
  }
}

/** `own`: the name in our metadata. */
export function decodeBalancing(
  message: BalancerFields,
  own: string | undefined,
  path: string,
): Balancing {
  const said = isListed(message)
    ? decodeListed(message, path)
    : { ...decodeEnumerated(message, path), ...decodeCommon(message, `${path}.common_lb_config`) };
  const isOurs = own === peakEwma && said.balancer.kind === "least-request";
  return isOurs ? { ...said, balancer: { kind: peakEwma } } : said;
}

function isListed({ lbPolicy, loadBalancingPolicy }: BalancerFields): boolean {
  return loadBalancingPolicy !== undefined || lbPolicy === LbPolicy.LOAD_BALANCING_POLICY_CONFIG;
}

function decodeListed({ loadBalancingPolicy, commonLbConfig }: BalancerFields, path: string) {
  // Envoy's rule: the list says all of it.
  for (const [field, value] of Object.entries({
    zone_aware_lb_config: commonLbConfig?.zoneAwareLbConfig,
    locality_weighted_lb_config: commonLbConfig?.localityWeightedLbConfig,
    consistent_hashing_lb_config: commonLbConfig?.consistentHashingLbConfig,
  })) {
    if (value === undefined) continue;
    throw invalid(`${path}.common_lb_config.${field}`, "cannot stand beside load_balancing_policy");
  }
  return decodeBalancerList(loadBalancingPolicy, `${path}.load_balancing_policy`);
}

function decodeCommon({ commonLbConfig: common }: BalancerFields, path: string) {
  refuseOtherHashing(common?.consistentHashingLbConfig, `${path}.consistent_hashing_lb_config`);
  return decodeLocalities(common, path);
}

function decodeEnumerated(message: BalancerFields, path: string): Balancing {
  switch (message.lbPolicy ?? LbPolicy.ROUND_ROBIN) {
    case LbPolicy.LEAST_REQUEST:
      return decodeLeastRequest(
        message.leastRequestLbConfig ?? {},
        `${path}.least_request_lb_config`,
      );
    case LbPolicy.RANDOM:
      return { balancer: { kind: "random" } };
    case LbPolicy.ROUND_ROBIN:
    case LbPolicy.CLUSTER_PROVIDED:
      return decodeRoundRobin(message.roundRobinLbConfig ?? {});
    case LbPolicy.RING_HASH:
      return decodeRingHash(message.ringHashLbConfig ?? {}, `${path}.ring_hash_lb_config`);
    case LbPolicy.MAGLEV:
      return decodeMaglev(message.maglevLbConfig ?? {}, `${path}.maglev_lb_config`);
    default:
      throw invalid(`${path}.lb_policy`, `balancer ${message.lbPolicy} is not supported`);
  }
}
