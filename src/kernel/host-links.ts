/** The machine's own links, read only: which has an address, what else is on it, and its largest packet. */

import { linkPrefix } from "../model/names.ts";
import { decodeAddress, dumpAddresses } from "../wire/netlink/address.ts";
import { decodeLink, dumpLinks } from "../wire/netlink/link.ts";
import type { HostLink } from "./driver.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { doing } from "./refusal.ts";

/** Links that are up and not ours, each with the addresses that others may know; loopback is none. */
export function listHostLinks(socket: NetlinkSocket): readonly HostLink[] {
  const links = doing("link", "list links", () => socket.dump(dumpLinks(), decodeLink)) ?? [];
  const addresses =
    doing("address", "list addresses", () => socket.dump(dumpAddresses(), decodeAddress)) ?? [];
  return links
    .filter((link) => link.up && link.name !== "lo" && !link.name.startsWith(linkPrefix))
    .map(({ index, name, mtu }) => ({
      name,
      mtu,
      addresses: addresses
        .filter((each) => each.linkIndex === index && !each.address.startsWith("fe80:"))
        .map(({ address, prefixLength }) => ({ address, prefixLength })),
    }));
}
