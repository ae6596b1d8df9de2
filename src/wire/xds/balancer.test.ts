/** How a cluster's balancer is read that other control planes write, in either form. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeCluster } from "./cluster.ts";
import { pack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  ClientSideWeightedRoundRobin,
  Cluster as ClusterMessage,
  ClusterProvided,
  LbPolicy,
  LeastRequestPolicy,
  MaglevPolicy,
  RandomPolicy,
  RingHashPolicy,
  RoundRobinPolicy,
  SelectionMethod,
  WrrLocality,
} from "./gen/messages.ts";
import { encodeResource, typeUrls } from "./resources.ts";

const unknown: wire.Any = { typeUrl: "type.googleapis.com/example.Lottery" };
const slowStartConfig = {
  slowStartWindow: { seconds: 20 },
  aggression: { defaultValue: 2 },
  minWeightPercent: { value: 5 },
};
const slowStart = { windowMs: 20_000, aggression: 2, minPercent: 5 };
const byLocality = { localityWeightedLbConfig: {} };

function listOf(...policies: readonly wire.Any[]): wire.LoadBalancingPolicy {
  return {
    policies: policies.map((typedConfig) => ({ typedExtensionConfig: { name: "x", typedConfig } })),
  };
}

function read(message: wire.Cluster): object {
  const resource = encodeResource(typeUrls.cluster, "c", ClusterMessage, { name: "c", ...message });
  // Copied, so that nothing is answered from memory.
  const { balancer, slowStart, isLocalityWeighted } = decodeCluster({ ...resource });
  return JSON.parse(JSON.stringify({ balancer, slowStart, isLocalityWeighted }));
}

describe("a cluster's list of typed balancers", () => {
  const cases: readonly (readonly [name: string, policies: readonly wire.Any[], wanted: object])[] =
    [
      ["round robin", [pack(RoundRobinPolicy, {})], { balancer: { kind: "round-robin" } }],
      [
        "round robin with all it can say",
        [pack(RoundRobinPolicy, { slowStartConfig, localityLbConfig: byLocality })],
        { balancer: { kind: "round-robin" }, slowStart, isLocalityWeighted: true },
      ],
      ["least request", [pack(LeastRequestPolicy, {})], { balancer: { kind: "least-request" } }],
      [
        "least request with all it can say",
        [
          pack(LeastRequestPolicy, {
            choiceCount: { value: 5 },
            activeRequestBias: { defaultValue: 1 },
            slowStartConfig,
            localityLbConfig: byLocality,
          }),
        ],
        {
          balancer: { kind: "least-request", choices: 5 },
          slowStart,
          isLocalityWeighted: true,
        },
      ],
      [
        "least request that weighs load otherwise",
        [pack(LeastRequestPolicy, { activeRequestBias: { defaultValue: 0.5 } })],
        { balancer: { kind: "least-request", bias: 0.5 } },
      ],
      [
        "least request that says nothing by load",
        [pack(LeastRequestPolicy, { activeRequestBias: { runtimeKey: "x" } })],
        { balancer: { kind: "least-request", bias: 0 } },
      ],
      [
        "least request of all hosts",
        [pack(LeastRequestPolicy, { selectionMethod: SelectionMethod.FULL_SCAN })],
        { balancer: { kind: "least-request", choices: "all" } },
      ],
      [
        "least request of all hosts, in the older word",
        [pack(LeastRequestPolicy, { enableFullScan: { value: true } })],
        { balancer: { kind: "least-request", choices: "all" } },
      ],
      [
        "random, zones or no zones",
        [pack(RandomPolicy, { localityLbConfig: { zoneAwareLbConfig: {} } })],
        { balancer: { kind: "random" } },
      ],
      [
        "a ring",
        [pack(RingHashPolicy, {})],
        { balancer: { kind: "ring-hash", minimumRingSize: 1_024 } },
      ],
      [
        "a ring with its sizes",
        [
          pack(RingHashPolicy, {
            minimumRingSize: { value: 64 },
            maximumRingSize: { value: 128 },
            ...byLocality,
          }),
        ],
        {
          balancer: { kind: "ring-hash", minimumRingSize: 64, maximumRingSize: 128 },
          isLocalityWeighted: true,
        },
      ],
      [
        "Maglev's table",
        [pack(MaglevPolicy, { tableSize: { value: 251 } })],
        { balancer: { kind: "maglev", tableSize: 251 } },
      ],
      [
        "a ring of names, with bounded loads",
        [
          pack(RingHashPolicy, {
            consistentHashingLbConfig: {
              useHostnameForHashing: true,
              hashBalanceFactor: { value: 150 },
            },
          }),
        ],
        {
          balancer: {
            kind: "ring-hash",
            minimumRingSize: 1_024,
            balancePercent: 150,
            hashesNames: true,
          },
        },
      ],
      [
        "a ring of names, with bounded loads, in the older place",
        [pack(RingHashPolicy, { useHostnameForHashing: true, hashBalanceFactor: { value: 100 } })],
        {
          balancer: {
            kind: "ring-hash",
            minimumRingSize: 1_024,
            balancePercent: 100,
            hashesNames: true,
          },
        },
      ],
      [
        "a ring whose older place holds no more",
        [
          pack(RingHashPolicy, {
            hashBalanceFactor: { value: 100 },
            consistentHashingLbConfig: {},
          }),
        ],
        { balancer: { kind: "ring-hash", minimumRingSize: 1_024 } },
      ],
      [
        "Maglev's table with bounded loads",
        [pack(MaglevPolicy, { consistentHashingLbConfig: { hashBalanceFactor: { value: 120 } } })],
        { balancer: { kind: "maglev", tableSize: 65_537, balancePercent: 120 } },
      ],
      [
        "what chooses a locality by weight, and then by another list",
        [
          pack(WrrLocality, {
            endpointPickingPolicy: listOf(unknown, pack(ClientSideWeightedRoundRobin, {})),
          }),
        ],
        { balancer: { kind: "round-robin" }, isLocalityWeighted: true },
      ],
      [
        "what the cluster provides",
        [pack(ClusterProvided, {})],
        { balancer: { kind: "round-robin" } },
      ],
      [
        "the first that is known",
        [unknown, pack(RandomPolicy, {}), pack(RingHashPolicy, {})],
        { balancer: { kind: "random" } },
      ],
    ];
  for (const [name, policies, wanted] of cases) {
    test(`is not read as round robin: ${name}`, () => {
      assert.deepEqual(read({ loadBalancingPolicy: listOf(...policies) }), wanted);
    });
  }

  test("holds whatever the older form says", () => {
    const loadBalancingPolicy = listOf(pack(RandomPolicy, {}));
    for (const lbPolicy of [LbPolicy.MAGLEV, LbPolicy.LOAD_BALANCING_POLICY_CONFIG]) {
      const found = read({ loadBalancingPolicy, lbPolicy, maglevLbConfig: {} });
      assert.deepEqual(found, { balancer: { kind: "random" } });
    }
  });

  const none = "load_balancing_policy.policies: want one that is supported, got ";
  const first = "load_balancing_policy.policies[0].typed_extension_config.typed_config";
  const refusals: readonly (readonly [name: string, message: wire.Cluster, error: string])[] = [
    [
      "nothing that is known",
      { loadBalancingPolicy: listOf(unknown) },
      `${none}["type.googleapis.com/example.Lottery"]`,
    ],
    ["nothing at all", { lbPolicy: LbPolicy.LOAD_BALANCING_POLICY_CONFIG }, `${none}[]`],
    [
      "nothing that is known below a locality",
      {
        loadBalancingPolicy: listOf(
          pack(WrrLocality, { endpointPickingPolicy: listOf(unknown, unknown) }),
        ),
      },
      `${first}.endpoint_picking_policy.policies: want one that is supported, got ` +
        '["type.googleapis.com/example.Lottery", "type.googleapis.com/example.Lottery"]',
    ],
    [
      "a load that counts for less than nothing",
      {
        loadBalancingPolicy: listOf(
          pack(LeastRequestPolicy, { activeRequestBias: { defaultValue: -1 } }),
        ),
      },
      `${first}.active_request_bias.default_value: want 0 or more, got -1`,
    ],
    [
      "a single choice",
      { loadBalancingPolicy: listOf(pack(LeastRequestPolicy, { choiceCount: { value: 1 } })) },
      `${first}.choice_count: want 2 or more, got 1`,
    ],
    [
      "a ring with less room than it needs",
      {
        loadBalancingPolicy: listOf(
          pack(RingHashPolicy, { minimumRingSize: { value: 9 }, maximumRingSize: { value: 8 } }),
        ),
      },
      `${first}.minimum_ring_size: want 1 to maximum_ring_size, and that 8388608 at most; got 9 and 8`,
    ],
    [
      "a bound that leaves no room for all",
      {
        loadBalancingPolicy: listOf(
          pack(MaglevPolicy, { consistentHashingLbConfig: { hashBalanceFactor: { value: 99 } } }),
        ),
      },
      `${first}.consistent_hashing_lb_config.hash_balance_factor: want 100 or more, got 99`,
    ],
    [
      "a table of no prime size",
      { loadBalancingPolicy: listOf(pack(MaglevPolicy, { tableSize: { value: 252 } })) },
      `${first}.table_size: want a prime, got 252`,
    ],
    [
      "localities beside the list",
      { loadBalancingPolicy: listOf(pack(RandomPolicy, {})), commonLbConfig: byLocality },
      "common_lb_config.locality_weighted_lb_config: cannot stand beside load_balancing_policy",
    ],
    [
      "failing in panic",
      {
        loadBalancingPolicy: listOf(
          pack(RandomPolicy, {
            localityLbConfig: { zoneAwareLbConfig: { failTrafficOnPanic: true } },
          }),
        ),
      },
      `${first}.locality_lb_config.zone_aware_lb_config.fail_traffic_on_panic: is not supported`,
    ],
  ];
  for (const [name, message, error] of refusals) {
    test(`is refused with ${name}`, () => {
      assert.throws(() => read(message), { code: "xds.invalid", message: `Cluster c.${error}` });
    });
  }
});

describe("a cluster's balancer in the older form", () => {
  test("is read with what Envoy lets it say", () => {
    assert.deepEqual(
      read({
        lbPolicy: LbPolicy.LEAST_REQUEST,
        leastRequestLbConfig: { choiceCount: { value: 3 }, slowStartConfig },
      }),
      { balancer: { kind: "least-request", choices: 3 }, slowStart },
    );
    assert.deepEqual(
      read({
        lbPolicy: LbPolicy.RING_HASH,
        ringHashLbConfig: { maximumRingSize: { value: 2_048 } },
      }),
      { balancer: { kind: "ring-hash", minimumRingSize: 1_024, maximumRingSize: 2_048 } },
    );
  });

  test("says nothing by the config of another one", () => {
    const found = read({ lbPolicy: LbPolicy.RANDOM, leastRequestLbConfig: { slowStartConfig } });
    assert.deepEqual(found, { balancer: { kind: "random" } });
  });

  test("is read with bounded loads and names, of a ring and of a table", () => {
    const commonLbConfig = {
      consistentHashingLbConfig: { useHostnameForHashing: true, hashBalanceFactor: { value: 150 } },
    };
    const hashing = { balancePercent: 150, hashesNames: true };
    assert.deepEqual(read({ lbPolicy: LbPolicy.RING_HASH, commonLbConfig }), {
      balancer: { kind: "ring-hash", minimumRingSize: 1_024, ...hashing },
    });
    assert.deepEqual(read({ lbPolicy: LbPolicy.MAGLEV, commonLbConfig }), {
      balancer: { kind: "maglev", tableSize: 65_537, ...hashing },
    });
    // Envoy passes over it where nothing is hashed.
    const found = read({ lbPolicy: LbPolicy.RANDOM, commonLbConfig });
    assert.deepEqual(found, { balancer: { kind: "random" } });
  });

  test("is refused by path where its bound leaves no room for all", () => {
    const consistentHashingLbConfig = { hashBalanceFactor: { value: 50 } };
    assert.throws(
      () => read({ lbPolicy: LbPolicy.RING_HASH, commonLbConfig: { consistentHashingLbConfig } }),
      {
        message:
          "Cluster c.common_lb_config.consistent_hashing_lb_config.hash_balance_factor: want 100 or more, got 50",
      },
    );
  });
});
