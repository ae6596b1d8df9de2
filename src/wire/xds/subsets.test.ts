/** How parts of a cluster are read, and what of them is refused. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeCluster } from "./cluster.ts";
import { pack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  Cluster as ClusterMessage,
  DiscoveryType,
  LbSelectorFallback,
  LbSubsetFallback,
  Listener as ListenerMessage,
  RoundRobinPolicy,
  TcpProxy,
} from "./gen/messages.ts";
import { decodeListener } from "./listener.ts";
import { encodeResource, typeUrls } from "./resources.ts";
import { encodeStruct } from "./struct.ts";

function read(lbSubsetConfig: wire.LbSubsetConfig, more: wire.Cluster = {}): unknown {
  const message = { name: "c", lbSubsetConfig, ...more };
  // Copied, so that nothing is answered from memory.
  return decodeCluster({ ...encodeResource(typeUrls.cluster, "c", ClusterMessage, message) })
    .subsets;
}

const byVersion = { subsetSelectors: [{ keys: ["version"] }] };
const first = "lb_subset_config.subset_selectors[0]";

describe("parts of a cluster", () => {
  test("are read with their selectors and fallbacks", () => {
    const found = read({
      fallbackPolicy: LbSubsetFallback.DEFAULT_SUBSET,
      defaultSubset: encodeStruct({ version: "1" }),
      subsetSelectors: [
        { keys: ["version", "stage", "version"] },
        { keys: ["version"], fallbackPolicy: LbSelectorFallback.ANY_ENDPOINT },
      ],
    });
    assert.deepEqual(found, {
      selectors: [{ keys: ["stage", "version"] }, { keys: ["version"], fallback: "any" }],
      fallback: "default",
      defaultPart: { version: "1" },
    });
  });

  test("are not there without selectors, whatever else is said", () => {
    assert.equal(
      read({ fallbackPolicy: LbSubsetFallback.ANY_ENDPOINT, listAsAny: true }),
      undefined,
    );
  });

  const refusals: readonly (readonly [
    subsets: wire.LbSubsetConfig,
    error: string,
    more?: wire.Cluster,
  ])[] = [
    [{ subsetSelectors: [{}] }, `${first}.keys: is missing`],
    [
      { subsetSelectors: [{ keys: ["a"], singleHostPerSubset: true }] },
      `${first}.single_host_per_subset: is not supported`,
    ],
    [
      { subsetSelectors: [{ keys: ["a"], fallbackPolicy: LbSelectorFallback.KEYS_SUBSET }] },
      `${first}.fallback_policy: KEYS_SUBSET is not supported`,
    ],
    [{ ...byVersion, fallbackPolicy: 7 }, "lb_subset_config.fallback_policy: 7 is not supported"],
    [
      { ...byVersion, localityWeightAware: true },
      "lb_subset_config.locality_weight_aware: is not supported",
    ],
    [{ ...byVersion, panicModeAny: true }, "lb_subset_config.panic_mode_any: is not supported"],
    [{ ...byVersion, listAsAny: true }, "lb_subset_config.list_as_any: is not supported"],
    [
      { ...byVersion, metadataFallbackPolicy: 1 },
      "lb_subset_config.metadata_fallback_policy: is not supported",
    ],
    [
      byVersion,
      "lb_subset_config: cannot stand beside load_balancing_policy",
      {
        loadBalancingPolicy: {
          policies: [{ typedExtensionConfig: { typedConfig: pack(RoundRobinPolicy, {}) } }],
        },
      },
    ],
    [
      byVersion,
      "lb_subset_config: cannot stand beside ORIGINAL_DST",
      { type: DiscoveryType.ORIGINAL_DST },
    ],
  ];
  for (const [subsets, error, more] of refusals) {
    test(`are refused by path: ${error}`, () => {
      assert.throws(() => read(subsets, more), {
        code: "xds.invalid",
        message: `Cluster c.${error}`,
      });
    });
  }

  test("are refused where connections would have to know them", () => {
    const metadataMatch = { filterMetadata: { "envoy.lb": encodeStruct({ version: "1" }) } };
    const clusters = { clusters: [{ name: "c", weight: 1, metadataMatch }] };
    for (const proxy of [{ cluster: "c", metadataMatch }, { weightedClusters: clusters }]) {
      const filters = [{ name: "tcp", typedConfig: pack(TcpProxy, proxy) }];
      const message = {
        name: "l",
        address: { socketAddress: { address: "127.0.0.1", portValue: 1 } },
        filterChains: [{ filters }],
      };
      const resource = encodeResource(typeUrls.listener, "l", ListenerMessage, message);
      assert.throws(() => decodeListener({ ...resource }), {
        message: /filters\[0\]\.typed_config\.metadata_match: is not supported for TCP$/,
      });
    }
  });
});
