/**
 * How a cluster spreads its requests, in the older form: `lb_policy` and a config beside it. It is what we write,
 * but for what only the newer one can say: looking at all hosts for the least busy.
 *
 * What others write as a list of typed policies (`load_balancing_policy`) is read by balancer-list.ts, and then holds
 * alone, as with Envoy. What both forms say in the same words is read by balancer-config.ts.
 *
 * Envoy has no peak-EWMA: it travels as least request, and cluster metadata (`heddle.balancer`) tells our own proxies.
 */

import type { BalancerPolicy } from "../../model/proxy-config.ts";
import {
  type Balancing,
  decodeHashing,
  decodeLeastRequest,
  decodeLocalities,
  decodeMaglev,
  decodeRingHash,
  decodeRoundRobin,
  encodeHashing,
  encodeLeastRequest,
  encodeSlowStart,
} from "./balancer-config.ts";
import { decodeBalancerList, encodeFullScan } from "./balancer-list.ts";
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

export function encodeBalancer(balancing: Balancing): BalancerFields {
  const { balancer, slowStart } = balancing;
  const slow = slowStart && { slowStartConfig: encodeSlowStart(slowStart) };
  const beside = encodeLocalities(balancing);
  switch (balancer.kind) {
    case "least-request": {
      if (balancer.choices === "all") return encodeFullScan(balancer, balancing);
      const config = encodeLeastRequest(balancer, slowStart);
      const isSaid = Object.keys(config).length > 0;
      return {
        lbPolicy: LbPolicy.LEAST_REQUEST,
        ...given("leastRequestLbConfig", isSaid ? config : undefined),
        ...beside,
      };
    }
    case "peak-ewma":
      return {
        lbPolicy: LbPolicy.LEAST_REQUEST,
        ...given("leastRequestLbConfig", slow),
        ...beside,
      };
    case "round-robin":
      return { lbPolicy: LbPolicy.ROUND_ROBIN, ...given("roundRobinLbConfig", slow), ...beside };
    case "random":
      return { lbPolicy: LbPolicy.RANDOM, ...beside };
    case "ring-hash":
    case "maglev": {
      const hashing = encodeHashing(balancer);
      if (hashing === undefined) return { ...encodeTable(balancer), ...beside };
      const commonLbConfig = { ...beside.commonLbConfig, consistentHashingLbConfig: hashing };
      return { ...encodeTable(balancer), commonLbConfig };
    }
  }
}

/** Of an original-destination cluster, which chooses nobody. */
export function encodeProvided(balancing: Balancing): BalancerFields {
  return { lbPolicy: LbPolicy.CLUSTER_PROVIDED, ...encodeLocalities(balancing) };
}

function encodeLocalities({
  isLocalityWeighted,
}: Balancing): Pick<BalancerFields, "commonLbConfig"> {
  return isLocalityWeighted === true ? { commonLbConfig: { localityWeightedLbConfig: {} } } : {};
}

function encodeTable(
  balancer: Extract<BalancerPolicy, { kind: "ring-hash" | "maglev" }>,
): BalancerFields {
  if (balancer.kind === "maglev") {
    return {
      lbPolicy: LbPolicy.MAGLEV,
      maglevLbConfig: { tableSize: { value: balancer.tableSize } },
    };
  }
  const { minimumRingSize, maximumRingSize } = balancer;
  return {
    lbPolicy: LbPolicy.RING_HASH,
    ringHashLbConfig: {
      minimumRingSize: { value: minimumRingSize },
      ...given(
        "maximumRingSize",
        maximumRingSize === undefined ? undefined : { value: maximumRingSize },
      ),
    },
  };
}

/** `own`: the name in our metadata. */
export function decodeBalancing(
  message: BalancerFields,
  own: string | undefined,
  path: string,
): Balancing {
  const said = isListed(message)
    ? decodeListed(message, path)
    : {
        ...decodeEnumerated(message, path),
        ...decodeLocalities(message.commonLbConfig, `${path}.common_lb_config`),
      };
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

function decodeEnumerated(message: BalancerFields, path: string): Balancing {
  const hashing = () =>
    decodeHashing(
      message.commonLbConfig?.consistentHashingLbConfig,
      `${path}.common_lb_config.consistent_hashing_lb_config`,
    );
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
      return decodeRingHash(
        message.ringHashLbConfig ?? {},
        hashing(),
        `${path}.ring_hash_lb_config`,
      );
    case LbPolicy.MAGLEV:
      return decodeMaglev(message.maglevLbConfig ?? {}, hashing(), `${path}.maglev_lb_config`);
    default:
      throw invalid(`${path}.lb_policy`, `balancer ${message.lbPolicy} is not supported`);
  }
}
