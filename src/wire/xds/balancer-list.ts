/**
 * How a cluster spreads its requests, in the newer form: a list of typed policies, of which the first one counts that
 * we know, as with Envoy. A list without one is refused; so is a known policy that asks for what we do not do.
 *
 * Client-side weighted round robin goes by what endpoints report of themselves, which we do not ask for: it is what
 * Envoy's is until the first report, round robin by the weights of configuration. A balancer that the cluster provides
 * is an original-destination cluster's, which chooses nobody: it reads as round robin.
 */

import {
  type Balancing,
  decodeHashing,
  decodeLeastRequest,
  decodeLocalities,
  decodeMaglev,
  decodeRingHash,
  decodeRoundRobin,
  encodeLeastRequest,
  type LeastRequest,
} from "./balancer-config.ts";
import { given, invalid, isPacked, pack, unpack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  ClientSideWeightedRoundRobin,
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
import type { MessageType } from "./protobuf.ts";

interface Known {
  readonly type: MessageType<object>;
  read(any: wire.Any, path: string): Balancing;
}

const known: readonly Known[] = [
  policy(RoundRobinPolicy, (config, path) => ({
    ...decodeRoundRobin(config),
    ...decodeLocalities(config.localityLbConfig, `${path}.locality_lb_config`),
  })),
  policy(LeastRequestPolicy, (config, path) => {
    const read = decodeLeastRequest(config, path);
    // The wrapper is the older word for it, and holds where it is said.
    const scans =
      config.enableFullScan === undefined
        ? config.selectionMethod === SelectionMethod.FULL_SCAN
        : config.enableFullScan.value === true;
    return {
      ...read,
      ...(scans ? { balancer: { ...read.balancer, choices: "all" } } : {}),
      ...decodeLocalities(config.localityLbConfig, `${path}.locality_lb_config`),
    };
  }),
  policy(RandomPolicy, (config, path) => ({
    balancer: { kind: "random" },
    ...decodeLocalities(config.localityLbConfig, `${path}.locality_lb_config`),
  })),
  policy(RingHashPolicy, (config, path) => {
    const { consistentHashingLbConfig: common } = config;
    const hashing =
      common === undefined
        ? decodeHashing(config, path)
        : decodeHashing(common, `${path}.consistent_hashing_lb_config`);
    return { ...decodeRingHash(config, hashing, path), ...decodeLocalities(config, path) };
  }),
  policy(MaglevPolicy, (config, path) => {
    const at = `${path}.consistent_hashing_lb_config`;
    const hashing = decodeHashing(config.consistentHashingLbConfig, at);
    return { ...decodeMaglev(config, hashing, path), ...decodeLocalities(config, path) };
  }),
  policy(WrrLocality, (config, path) => ({
    ...decodeBalancerList(config.endpointPickingPolicy, `${path}.endpoint_picking_policy`),
    isLocalityWeighted: true,
  })),
  policy(ClientSideWeightedRoundRobin, () => ({ balancer: { kind: "round-robin" } })),
  policy(ClusterProvided, () => ({ balancer: { kind: "round-robin" } })),
];

export function decodeBalancerList(
  list: wire.LoadBalancingPolicy | undefined,
  path: string,
): Balancing {
  const unknown: string[] = [];
  for (const [index, { typedExtensionConfig }] of (list?.policies ?? []).entries()) {
    const any = typedExtensionConfig?.typedConfig;
    const found = known.find(({ type }) => isPacked(any, type));
    if (any !== undefined && found !== undefined) {
      return found.read(any, `${path}.policies[${index}]`);
    }
    unknown.push(`"${any?.typeUrl ?? typedExtensionConfig?.name ?? ""}"`);
  }
  throw invalid(`${path}.policies`, `want one that is supported, got [${unknown.join(", ")}]`);
}

/** Least request that looks at all hosts: the older form has no word for it. */
export function encodeFullScan(
  balancer: LeastRequest,
  { slowStart, isLocalityWeighted }: Balancing,
): Pick<wire.Cluster, "lbPolicy" | "loadBalancingPolicy"> {
  const locality = isLocalityWeighted === true ? { localityWeightedLbConfig: {} } : undefined;
  const typedConfig = pack(LeastRequestPolicy, {
    ...encodeLeastRequest(balancer, slowStart),
    ...given("localityLbConfig", locality),
    selectionMethod: SelectionMethod.FULL_SCAN,
  });
  const name = "envoy.load_balancing_policies.least_request";
  return {
    lbPolicy: LbPolicy.LOAD_BALANCING_POLICY_CONFIG,
    loadBalancingPolicy: { policies: [{ typedExtensionConfig: { name, typedConfig } }] },
  };
}

function policy<T extends object>(
  type: MessageType<T>,
  read: (config: T, path: string) => Balancing,
): Known {
  return {
    type,
    read: (any, path) => {
      const inside = `${path}.typed_extension_config.typed_config`;
      return read(unpack(type, any, inside), inside);
    },
  };
}
