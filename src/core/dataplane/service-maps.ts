/**
 * Lowers Services to maps: what a node's rules ask to get from a Service's address to one endpoint.
 *
 * Rules follow the distinct numbers of slots, not the Services, so a Service or an endpoint more is elements only.
 * Each Service's elements are one part (`services/part.ts`), kept while the Service is the same value, and all maps
 * have the one list of parts: compiling one change among 10 000 Services makes one part and one list.
 *
 * A Service without endpoints is in the maps too, and refuses. Where two claim one address and port, the first has it.
 */

import type { Diagnostic } from "../../base/compiled.ts";
import { type Cidr, familyOf, hostCidr } from "../../base/ip.ts";
import type { NftChain, NftMap, NftSet } from "../../model/node-state.ts";
import type { NodeView } from "../../model/node-view.ts";
import { type NftFamily, nftFamilies } from "./families.ts";
import { renderBlock } from "./intervals.ts";
import { masqueradeRules, serviceChains } from "./services/chains.ts";
import { choiceChain, choiceMark, choiceName, refusal } from "./services/choice-chains.ts";
import { ServiceJoiner } from "./services/joined.ts";
import { renderMark } from "./services/marks.ts";
import type { ChoiceUse, NodePlace } from "./services/part.ts";

export interface ServiceMaps {
  readonly sets: readonly NftSet[];
  readonly maps: readonly NftMap[];
  readonly chains: readonly NftChain[];
  /** Rules of the postrouting chain. */
  readonly masquerade: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

/** The same maps for the same list in the same place. */
export function serviceMaps(view: NodeView): ServiceMaps {
  const place = placeOf(view);
  const where = JSON.stringify(place);
  const known = remembered.get(view.services);
  if (known !== undefined && known.where === where && known.settings === view.settings) {
    return known.maps;
  }
  const maps = compile(view, place);
  remembered.set(view.services, { where, settings: view.settings, maps });
  return maps;
}

const remembered = new WeakMap<
  NodeView["services"],
  {
    readonly where: string;
    readonly settings: NodeView["settings"];
    readonly maps: ServiceMaps;
  }
>();

function compile({ settings, services }: NodeView, place: NodePlace): ServiceMaps {
  const { parts, choices, diagnostics } = joiner.join(services, place);
  const chains = [...choices.values()].sort(byFamilyProtocolSlots);
  return {
    sets: nftFamilies.map((family) => nodeAddresses(family, settings.nodePortAddresses, place)),
    maps: [...declarations.map((map) => ({ ...map, parts })), choiceMap(chains), affinity],
    chains: [
      ...serviceChains({
        pods: settings.pools.map(({ cidr }) => cidr),
        services: settings.serviceCidrs,
        masqueradeAll: settings.masqueradeAll === true,
      }),
      ...chains.map(({ choice, protocol, family }) => choiceChain(choice, protocol, family)),
    ],
    masquerade: masqueradeRules(place.addresses),
    diagnostics,
  };
}

/** The one map of verdicts: as few elements as there are chains. */
function choiceMap(chains: readonly ChoiceUse[]): NftMap {
  return {
    name: "choices",
    type: "type mark : verdict",
    elements: new Map([
      [renderMark(refusal.nowhere), "goto refuse"],
      [renderMark(refusal.notHere), "goto no-local-endpoint"],
      ...chains.map(
        ({ choice, protocol, family }) =>
          [
            renderMark(choiceMark(choice, protocol, family)),
            `goto ${choiceName(choice, protocol, family)}`,
          ] as const,
      ),
    ]),
  };
}

function placeOf({ node, nodes }: NodeView): NodePlace {
  const own = nodes.find(({ name }) => name === node);
  return {
    node,
    addresses: own?.addresses ?? [],
    ...(own?.zone === undefined ? {} : { zone: own.zone }),
  };
}

function nodeAddresses(
  { family, addressType, suffix }: NftFamily,
  wanted: readonly Cidr[] | undefined,
  { addresses }: NodePlace,
): NftSet {
  const cidrs = wanted ?? [...addresses.map(hostCidr), loopback];
  return {
    name: `node-addresses${suffix}`,
    type: `type ${addressType}`,
    flags: ["interval"],
    elements: cidrs.filter(({ address }) => familyOf(address) === family).map(renderBlock),
  };
}

/** An IPv6 loopback address cannot leave the node, even translated: the kernel has no setting for it. */
const loopback: Cidr = { address: "127.0.0.0", prefixLength: 8 };

const none: ReadonlyMap<string, string> = new Map();

/**
 * Endpoints have one map for each protocol: nft 1.0.6 takes the port's expression for more than its type. With
 * `th dport` it refuses later rules that use the map ("conflicting protocols"), and with `tcp dport` it makes them
 * match TCP only. The `mod 2` is there for the slot's type; chains choose among as many slots as there are.
 */
const declarations: readonly NftMap[] = [
  ...nftFamilies.flatMap(({ keyword, addressType, suffix }) => [
    {
      name: `services${suffix}`,
      type: `type ${addressType} . inet_proto . inet_service : mark`,
    },
    { name: `node-ports${suffix}`, type: "type inet_proto . inet_service : mark" },
    { name: `cluster-addresses${suffix}`, type: `type ${addressType} : mark` },
    {
      name: `source-ranges${suffix}`,
      type: `type ${addressType} . inet_proto . inet_service . ${addressType} : verdict`,
      flags: ["interval"],
    },
    { name: `targets${suffix}`, type: `type mark . mark : ${addressType} . inet_service` },
    ...["sctp", "tcp", "udp"].map((protocol) => ({
      name: `${protocol}-endpoints${suffix}`,
      type: `typeof meta mark . numgen random mod 2 : ${keyword} daddr . ${protocol} dport`,
    })),
  ]),
  { name: "groups", type: "type mark : mark" },
  { name: "picks", type: "typeof meta mark . numgen random mod 2 : meta mark" },
].map((map) => ({ ...map, elements: none }));

const joiner = new ServiceJoiner();

/** Filled by packets; a full map remembers no more clients, and those it does not know spread. */
const affinity: NftMap = {
  name: "affinity",
  type: "typeof numgen random mod 2 . ct mark : meta mark",
  flags: ["dynamic", "timeout"],
  size: 65536,
  elements: none,
};

function byFamilyProtocolSlots(a: ChoiceUse, b: ChoiceUse): number {
  const text = ({ family, protocol, choice }: ChoiceUse) =>
    `${family.family} ${choice.kind} ${protocol}`;
  const [left, right] = [text(a), text(b)];
  return left < right ? -1 : left > right ? 1 : a.choice.slots - b.choice.slots;
}
