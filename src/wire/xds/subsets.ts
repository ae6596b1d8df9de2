/**
 * Parts of a cluster's endpoints (`lb_subset_config`), and what routes and endpoints say to name them (`envoy.lb`).
 *
 * Without selectors there are no parts, whatever else is said. What would choose otherwise than it says is refused.
 */

import type {
  BalancerMetadata,
  SubsetFallback,
  SubsetSelector,
  Subsets,
} from "../../model/proxy-config.ts";
import { given, invalid } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { LbSelectorFallback, LbSubsetFallback } from "./gen/messages.ts";
import { decodeStruct, encodeStruct } from "./struct.ts";

const balancerKey = "envoy.lb";

type Fallbacks = readonly (readonly [SubsetFallback, number])[];

const ofCluster: Fallbacks = [
  ["none", LbSubsetFallback.NO_FALLBACK],
  ["any", LbSubsetFallback.ANY_ENDPOINT],
  ["default", LbSubsetFallback.DEFAULT_SUBSET],
];
const ofSelector: Fallbacks = [
  ["none", LbSelectorFallback.NO_FALLBACK],
  ["any", LbSelectorFallback.ANY_ENDPOINT],
  ["default", LbSelectorFallback.DEFAULT_SUBSET],
];

export function encodeSubsets(subsets: Subsets): wire.LbSubsetConfig {
  const { selectors, fallback, defaultPart } = subsets;
  return {
    ...given("fallbackPolicy", numberOf(fallback, ofCluster)),
    defaultSubset: encodeStruct(defaultPart),
    subsetSelectors: selectors.map(({ keys, fallback: own }) => ({
      keys,
      ...given("fallbackPolicy", numberOf(own, ofSelector)),
    })),
  };
}

function numberOf(fallback: SubsetFallback | undefined, all: Fallbacks): number | undefined {
  return all.find(([name]) => name === fallback)?.[1];
}

export function decodeSubsets(
  config: wire.LbSubsetConfig | undefined,
  path: string,
): Subsets | undefined {
  const selectors = config?.subsetSelectors ?? [];
  if (config === undefined || selectors.length === 0) return undefined;
  refuseOthers(config, path);
  const { fallbackPolicy = LbSubsetFallback.NO_FALLBACK } = config;
  return {
    selectors: selectors.map((selector, index) =>
      decodeSelector(selector, `${path}.subset_selectors[${index}]`),
    ),
    fallback: decodeFallback(fallbackPolicy, ofCluster, path),
    defaultPart: decodeStruct(config.defaultSubset),
  };
}

function decodeSelector(selector: wire.LbSubsetSelector, path: string): SubsetSelector {
  const { keys = [], fallbackPolicy = LbSelectorFallback.NOT_DEFINED } = selector;
  if (keys.length === 0) throw invalid(`${path}.keys`, "is missing");
  if (selector.singleHostPerSubset === true) {
    throw invalid(`${path}.single_host_per_subset`, "is not supported");
  }
  return {
    keys: [...new Set(keys)].sort(),
    ...(fallbackPolicy === LbSelectorFallback.NOT_DEFINED
      ? {}
      : { fallback: decodeFallback(fallbackPolicy, ofSelector, path) }),
  };
}

function decodeFallback(number: number, all: Fallbacks, path: string): SubsetFallback {
  const found = all.find(([, known]) => known === number);
  if (found !== undefined) return found[0];
  throw invalid(
    `${path}.fallback_policy`,
    number === LbSelectorFallback.KEYS_SUBSET
      ? "KEYS_SUBSET is not supported"
      : `${number} is not supported`,
  );
}

function refuseOthers(config: wire.LbSubsetConfig, path: string): void {
  for (const [field, isAsked] of Object.entries({
    locality_weight_aware: config.localityWeightAware === true,
    scale_locality_weight: config.scaleLocalityWeight === true,
    panic_mode_any: config.panicModeAny === true,
    list_as_any: config.listAsAny === true,
    metadata_fallback_policy: (config.metadataFallbackPolicy ?? 0) !== 0,
  })) {
    if (isAsked) throw invalid(`${path}.${field}`, "is not supported");
  }
}

// ---- what names a part ---------------------------------------------------------------------------

export function encodeBalancerMetadata(metadata: BalancerMetadata): wire.Metadata {
  return { filterMetadata: { [balancerKey]: encodeStruct(metadata) } };
}

/** Undefined: nothing is said. */
export function decodeBalancerMetadata(
  metadata: wire.Metadata | undefined,
): BalancerMetadata | undefined {
  const said = metadata?.filterMetadata?.[balancerKey];
  if (said?.fields === undefined || Object.keys(said.fields).length === 0) return undefined;
  return decodeStruct(said);
}
