/**
 * Whether anybody but Heddle has a say about what the overlay sends and gets outside: the packets between nodes, of
 * UDP.
 *
 * Read by netlink: chains at the hooks that such a packet meets, and on the links that it passes. What a chain's rules
 * say is not asked: any rule counts. Chains of type nat do not, since these packets are not tracked
 * (core/dataplane/node-ruleset.ts), nor do those without a rule.
 */

import { type Chain, decodeChain, dumpChains, nftFamilies } from "../wire/netlink/nft-rules.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { isOthers } from "./others-rules.ts";

/** NF_INET_PRE_ROUTING, _LOCAL_IN, _LOCAL_OUT, _POST_ROUTING. */
const hooksOutside: readonly number[] = [0, 1, 3, 4];

/** That, and in which chain; undefined where nobody has. `links` by name. */
export function chainOutside(socket: NetlinkSocket, links: readonly string[]): string | undefined {
  const found = socket.dump(dumpChains(), decodeChain).find((chain) => isAsked(chain, links));
  return found === undefined
    ? undefined
    : `packets between nodes meet chain ${found.name} of table ${found.table}`;
}

function isAsked(chain: Chain, links: readonly string[]): boolean {
  const { family, hook } = chain;
  if (hook === undefined || hook.isEmpty || !isOthers(chain)) return false;
  const { inet, ip } = nftFamilies;
  const isOnLink = hook.devices.some((device) => links.some((link) => isNamed(link, device)));
  const isOnWay = (family === inet || family === ip) && hooksOutside.includes(hook.number);
  return isOnLink || (isOnWay && hook.type !== "nat");
}

function isNamed(link: string, device: string): boolean {
  return device.endsWith("*") ? link.startsWith(device.slice(0, -1)) : link === device;
}
