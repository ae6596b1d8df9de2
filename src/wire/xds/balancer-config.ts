/**
 * What a balancer is told, in the words that both forms share: the config beside `lb_policy` and the typed policy of a
 * list. Sizes are Envoy's own where they are not said. What would balance otherwise than it says is refused.
 *
 * Of a ring's hash functions none is ours (MurmurHash3, 32 bits), and each is as even: which one is said plays no part.
 */

import type {
  BalancerPolicy,
  Cluster,
  HashBalancing,
  SlowStart,
} from "../../model/proxy-config.ts";
import { decodeDuration, encodeDuration, given, invalid, wrappedNumber } from "./field.ts";
import type * as wire from "./gen/message-types.ts";

export type Balancing = Pick<Cluster, "balancer" | "slowStart" | "isLocalityWeighted">;

/** Two draws are what least request takes where nothing is said. */
const usualChoices = 2;
const largestRing = 8_388_608;
const largestTable = 5_000_011;

export function decodeRoundRobin(config: wire.RoundRobinLbConfig): Balancing {
  return { balancer: { kind: "round-robin" }, ...decodeSlowStart(config.slowStartConfig) };
}

export function decodeLeastRequest(
  config: wire.LeastRequestLbConfig,
  path: string,
): Balancing & { readonly balancer: LeastRequest } {
  const choices = wrappedNumber(config.choiceCount, usualChoices);
  if (choices < 2) throw invalid(`${path}.choice_count`, `want 2 or more, got ${choices}`);
  return {
    balancer: {
      kind: "least-request",
      ...(choices === usualChoices ? {} : { choices }),
      ...decodeBias(config.activeRequestBias, `${path}.active_request_bias.default_value`),
    },
    ...decodeSlowStart(config.slowStartConfig),
  };
}

export type LeastRequest = Extract<BalancerPolicy, { kind: "least-request" }>;

function decodeBias(
  said: wire.RuntimeDouble | undefined,
  path: string,
): Pick<LeastRequest, "bias"> {
  if (said === undefined) return {};
  const bias = said.defaultValue ?? 0;
  if (!(bias >= 0 && bias < Infinity)) throw invalid(path, `want 0 or more, got ${bias}`);
  return bias === 1 ? {} : { bias };
}

/** What both forms say in the same words. */
export function encodeLeastRequest(
  { choices, bias }: LeastRequest,
  slowStart: SlowStart | undefined,
): wire.LeastRequestLbConfig {
  const drawn = choices === "all" ? undefined : choices;
  return {
    ...given("choiceCount", drawn === undefined ? undefined : { value: drawn }),
    ...given(
      "activeRequestBias",
      bias === undefined ? undefined : { defaultValue: bias, runtimeKey: "" },
    ),
    ...given("slowStartConfig", slowStart && encodeSlowStart(slowStart)),
  };
}

export function decodeRingHash(
  config: wire.RingHashLbConfig,
  hashing: HashBalancing,
  path: string,
): Balancing {
  const minimumRingSize = wrappedNumber(config.minimumRingSize, 1_024);
  const maximumRingSize = wrappedNumber(config.maximumRingSize, largestRing);
  if (minimumRingSize < 1 || minimumRingSize > maximumRingSize || maximumRingSize > largestRing) {
    throw invalid(
      `${path}.minimum_ring_size`,
      `want 1 to maximum_ring_size, and that ${largestRing} at most; got ${minimumRingSize} and ${maximumRingSize}`,
    );
  }
  return {
    balancer: {
      kind: "ring-hash",
      minimumRingSize,
      ...(maximumRingSize === largestRing ? {} : { maximumRingSize }),
      ...hashing,
    },
  };
}

/** A table of another size would never fill: its hosts walk it in steps that must not divide its size. */
export function decodeMaglev(
  config: wire.MaglevLbConfig,
  hashing: HashBalancing,
  path: string,
): Balancing {
  const size = wrappedNumber(config.tableSize, 65_537);
  for (let divisor = 2; divisor * divisor <= size; divisor++) {
    if (size % divisor === 0) throw invalid(`${path}.table_size`, `want a prime, got ${size}`);
  }
  if (size < 2 || size > largestTable) {
    throw invalid(`${path}.table_size`, `want 2 to ${largestTable}, got ${size}`);
  }
  return { balancer: { kind: "maglev", tableSize: size, ...hashing } };
}

/**
 * Zones of the callers' own play no part in an Envoy that is told no cluster of its own, nor here. Failing in panic
 * would, and is not done.
 */
export function decodeLocalities(
  config: wire.PolicyLocality | undefined,
  path: string,
): Pick<Balancing, "isLocalityWeighted"> {
  if (config?.zoneAwareLbConfig?.failTrafficOnPanic === true) {
    throw invalid(`${path}.zone_aware_lb_config.fail_traffic_on_panic`, "is not supported");
  }
  return config?.localityWeightedLbConfig === undefined ? {} : { isLocalityWeighted: true };
}

export function encodeHashing({
  balancePercent,
  hashesNames,
}: HashBalancing): wire.PolicyConsistentHashing | undefined {
  if (balancePercent === undefined && hashesNames === undefined) return undefined;
  return {
    ...(hashesNames === true ? { useHostnameForHashing: true } : {}),
    ...(balancePercent === undefined ? {} : { hashBalanceFactor: { value: balancePercent } }),
  };
}

export function decodeHashing(
  config: wire.PolicyConsistentHashing | undefined,
  path: string,
): HashBalancing {
  const percent = config?.hashBalanceFactor && wrappedNumber(config.hashBalanceFactor, 0);
  if (percent !== undefined && percent < 100) {
    throw invalid(`${path}.hash_balance_factor`, `want 100 or more, got ${percent}`);
  }
  return {
    ...given("balancePercent", percent),
    ...(config?.useHostnameForHashing === true ? { hashesNames: true } : {}),
  };
}

export function encodeSlowStart(slow: SlowStart): wire.SlowStartConfig {
  return {
    slowStartWindow: encodeDuration(slow.windowMs),
    aggression: { defaultValue: slow.aggression, runtimeKey: "" },
    minWeightPercent: { value: slow.minPercent },
  };
}

function decodeSlowStart(slow: wire.SlowStartConfig | undefined): Pick<Balancing, "slowStart"> {
  const windowMs = decodeDuration(slow?.slowStartWindow) ?? 0;
  if (slow === undefined || windowMs === 0) return {};
  const minPercent = slow.minWeightPercent === undefined ? 10 : (slow.minWeightPercent.value ?? 0);
  return given("slowStart", {
    windowMs,
    aggression: slow.aggression?.defaultValue ?? 1,
    minPercent,
  });
}
