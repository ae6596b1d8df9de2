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
  decodeLeastRequest,
  decodeLocalities,
  decodeMaglev,
  decodeRingHash,
  decodeRoundRobin,
  refuseOtherHashing,
} from "./balancer-config.ts";
import { invalid, isPacked, unpack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  ClientSideWeightedRoundRobin,
  ClusterProvided,
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
    if (config.selectionMethod === SelectionMethod.FULL_SCAN || config.enableFullScan?.value) {
      throw invalid(`${path}.selection_method`, "FULL_SCAN is not supported");
    }
    return {
      ...decodeLeastRequest(config, path),
      ...decodeLocalities(config.localityLbConfig, `${path}.locality_lb_config`),
    };
  }),
  policy(RandomPolicy, (config, path) => ({
    balancer: { kind: "random" },
    ...decodeLocalities(config.localityLbConfig, `${path}.locality_lb_config`),
  })),
  policy(RingHashPolicy, (config, path) => {
    refuseOtherHashing(config, path);
    refuseOtherHashing(config.consistentHashingLbConfig, `${path}.consistent_hashing_lb_config`);
    return { ...decodeRingHash(config, path), ...decodeLocalities(config, path) };
  }),
  policy(MaglevPolicy, (config, path) => {
    refuseOtherHashing(config.consistentHashingLbConfig, `${path}.consistent_hashing_lb_config`);
    return { ...decodeMaglev(config, path), ...decodeLocalities(config, path) };
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
