/**
 * Clusters of the same endpoints, each balanced otherwise, and what each endpoint gets of a fixed number of requests.
 * Which endpoint a key belongs to is each proxy's own affair: where requests are hashed, counts are compared in order
 * of size. A difference stands here with its reason.
 */

import type {
  BalancerMetadata,
  Cluster,
  Endpoint,
  SubsetFallback,
  SubsetSelector,
} from "../../../src/model/proxy-config.ts";
import { cluster } from "../../../src/proxy/testing/mesh.ts";
import { pack } from "../../../src/wire/xds/field.ts";
import type * as wire from "../../../src/wire/xds/gen/message-types.ts";
import {
  ClientSideWeightedRoundRobin,
  LeastRequestPolicy,
  MaglevPolicy,
  RandomPolicy,
  RingHashPolicy,
  RoundRobinPolicy,
  WrrLocality,
} from "../../../src/wire/xds/gen/messages.ts";
import type { Sending } from "./shares.ts";

export interface ShareCase {
  readonly name: string;
  readonly cluster: Cluster;
  /** What endpoints have beside address and port, in their order. */
  readonly endpoints: readonly Partial<Endpoint>[];
  /** As other control planes write it, in the place of what ours writes. */
  readonly listed?: wire.LoadBalancingPolicy;
  /** What the route says of the endpoints that it means. */
  readonly metadata?: BalancerMetadata;
  readonly sending: Sending;
  /** Of both; sorted, the largest first, where requests are hashed. */
  readonly wanted: readonly number[];
  readonly envoy?: { readonly shares: readonly number[]; readonly reason: string };
}

const three = [{}, {}, {}];
const weighted = [{ weight: 1 }, { weight: 4 }];
const oneKey = { "x-key": "ann" };

function listOf(typedConfig: wire.Any): wire.LoadBalancingPolicy {
  return { policies: [{ typedExtensionConfig: { name: "listed", typedConfig } }] };
}

const ring: Cluster["balancer"] = { kind: "ring-hash", minimumRingSize: 1_024 };
const table: Cluster["balancer"] = { kind: "maglev", tableSize: 65_537 };
const oneMore = {
  shares: [7, 5, 0],
  reason: "Envoy lets a host take one more when it is at its bound; the bound is 150 % of 12 / 3",
};
const bounded = {
  endpoints: three,
  sending: { requests: 12, held: true, headers: oneKey },
  wanted: [6, 6, 0],
  envoy: oneMore,
} as const;
const hashed = {
  endpoints: three,
  sending: { requests: 12, headers: oneKey },
  wanted: [12, 0, 0],
} as const;
const withBound = { consistentHashingLbConfig: { hashBalanceFactor: { value: 150 } } };

const selectors: readonly SubsetSelector[] = [
  { keys: ["version"] },
  { keys: ["stage"], fallback: "any" },
  { keys: ["stage", "version"] },
];

let parts = 0;

function part(
  name: string,
  metadata: BalancerMetadata | undefined,
  wanted: readonly number[],
  fallback: SubsetFallback = "none",
  inOrder: readonly SubsetSelector[] = selectors,
): ShareCase {
  const requests = wanted.reduce((sum, share) => sum + share, 0);
  return {
    name: `a part ${name}`,
    cluster: cluster(`part-${parts++}`, {
      balancer: { kind: "round-robin" },
      subsets: { selectors: inOrder, fallback, defaultPart: { version: "2" } },
    }),
    endpoints: [
      { metadata: { version: "1", stage: "prod" } },
      { metadata: { version: "1", stage: "dev" } },
      { metadata: { version: "2", stage: "prod" } },
    ],
    ...(metadata === undefined ? {} : { metadata }),
    sending: { requests: requests === 0 ? 4 : requests },
    wanted,
  };
}

export const shareCases: readonly ShareCase[] = [
  {
    name: "least request of all hosts",
    cluster: cluster("full-scan", { balancer: { kind: "least-request", choices: "all" } }),
    endpoints: three,
    sending: { requests: 9, held: true },
    wanted: [3, 3, 3],
  },
  {
    // That all draws miss a host happens once in 10^11 picks.
    name: "least request of so many draws that no host is missed",
    cluster: cluster("many-draws", { balancer: { kind: "least-request", choices: 64 } }),
    endpoints: three,
    sending: { requests: 9, held: true },
    wanted: [3, 3, 3],
  },
  {
    name: "least request without any bias, by weight alone",
    cluster: cluster("no-bias", { balancer: { kind: "least-request", bias: 0 } }),
    endpoints: weighted,
    sending: { requests: 40, held: true },
    wanted: [8, 32],
  },
  {
    name: "least request with a bias, where nothing is under way",
    cluster: cluster("bias", { balancer: { kind: "least-request", bias: 2 } }),
    endpoints: weighted,
    sending: { requests: 40 },
    wanted: [8, 32],
  },
  {
    name: "slow start, once it is over",
    cluster: cluster("slow", {
      balancer: { kind: "round-robin" },
      slowStart: { windowMs: 1, aggression: 1, minPercent: 10 },
    }),
    endpoints: three,
    sending: { requests: 9 },
    wanted: [3, 3, 3],
  },
  { name: "a ring", cluster: cluster("ring", { balancer: ring }), ...hashed },
  { name: "a table", cluster: cluster("table", { balancer: table }), ...hashed },
  {
    name: "a ring with bounded loads",
    cluster: cluster("bounded-ring", { balancer: { ...ring, balancePercent: 150 } }),
    ...bounded,
  },
  {
    name: "a table with bounded loads",
    cluster: cluster("bounded-table", { balancer: { ...table, balancePercent: 150 } }),
    ...bounded,
  },
  {
    // An Envoy hashes names only of a cluster whose endpoints are names.
    name: "a ring of host names with bounded loads and room for all",
    cluster: cluster("named-ring", {
      discovery: { kind: "dns", uses: "every", endpoints: [] },
      balancer: { ...ring, balancePercent: 150, hashesNames: true },
    }),
    ...hashed,
    endpoints: [{ hostname: "a.test" }, { hostname: "b.test" }, { hostname: "c.test" }],
  },

  // parts
  part("that is there", { version: "1" }, [4, 4, 0]),
  part("by two keys", { stage: "prod", version: "1" }, [8, 0, 0]),
  part("that nobody is in", { version: "3" }, [0, 0, 0]),
  part("that nobody is in, but anybody will do", { version: "3" }, [3, 3, 3], "any"),
  part("that nobody is in, but a default is there", { version: "3" }, [0, 0, 9], "default"),
  part("that nobody is in, whose selector knows better", { stage: "x" }, [3, 3, 3], "default"),
  {
    ...part(
      "that nobody is in, whose selector comes late",
      { stage: "x" },
      [3, 3, 3],
      "default",
      selectors.toReversed(),
    ),
    envoy: {
      shares: [0, 0, 9],
      reason: "Envoy forgets a selector's fallback where its keys begin a longer one before it",
    },
  },
  part("by keys that no selector has", { version: "1", zone: "a" }, [0, 0, 9], "default"),
  part("that is not named", undefined, [0, 0, 9], "default"),
  part("by a number where it is a text", { version: 1 }, [0, 0, 0]),

  // the newer form
  {
    name: "listed: round robin",
    cluster: cluster("listed-round-robin"),
    listed: listOf(pack(RoundRobinPolicy, {})),
    endpoints: three,
    sending: { requests: 9 },
    wanted: [3, 3, 3],
  },
  {
    name: "listed: least request",
    cluster: cluster("listed-least-request"),
    listed: listOf(pack(LeastRequestPolicy, { choiceCount: { value: 64 } })),
    endpoints: three,
    sending: { requests: 9, held: true },
    wanted: [3, 3, 3],
  },
  {
    name: "listed: random, of one host that is well",
    cluster: cluster("listed-random"),
    listed: listOf(pack(RandomPolicy, {})),
    endpoints: [{}, { isUnhealthy: true }],
    sending: { requests: 9 },
    wanted: [9, 0],
  },
  {
    name: "listed: a ring with bounded loads",
    cluster: cluster("listed-ring"),
    listed: listOf(pack(RingHashPolicy, withBound)),
    ...bounded,
  },
  {
    name: "listed: a table with bounded loads",
    cluster: cluster("listed-table"),
    listed: listOf(pack(MaglevPolicy, withBound)),
    ...bounded,
  },
  {
    // The one balancer that an Envoy takes within a locality.
    name: "listed: a locality by weight, then round robin by what endpoints report",
    cluster: cluster("listed-locality"),
    listed: listOf(
      pack(WrrLocality, { endpointPickingPolicy: listOf(pack(ClientSideWeightedRoundRobin, {})) }),
    ),
    endpoints: [
      { locality: { region: "r", zone: "a", subZone: "" }, localityWeight: 100 },
      { locality: { region: "r", zone: "a", subZone: "" }, localityWeight: 100 },
      {
        locality: { region: "r", zone: "b", subZone: "" },
        localityWeight: 2,
        isUnhealthy: true,
      },
    ],
    sending: { requests: 10 },
    wanted: [5, 5, 0],
  },
];
