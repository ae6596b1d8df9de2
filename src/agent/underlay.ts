/**
 * The node's place on the underlay: its addresses, the prefixes of the link that they are on, and the link's MTU.
 *
 * The agent is told an address when it starts, and what is at it may change while it runs: a lease ends, a link gets
 * another MTU. So it looks now and then, and tells the others what it sees. The link counts, not the address: where
 * the address is gone, the link that had it (at first sight: the only one of the machine that has any) says the new
 * one.
 */

import { type Cidr, familyOf, renderCidr } from "../base/ip.ts";
import type { HostLink } from "../kernel/driver.ts";

export interface UnderlayPlace {
  /** One for each family, the primary first. */
  readonly addresses: readonly string[];
  /** The same with the lengths of their prefixes; empty where no link has them. */
  readonly prefixes: readonly Cidr[];
  /** Undefined where no link has them. */
  readonly mtu: number | undefined;
}

export class Underlay {
  readonly #links: () => readonly HostLink[];
  #addresses: readonly string[];
  #linkName: string | undefined;

  constructor(addresses: readonly string[], links: () => readonly HostLink[]) {
    this.#addresses = addresses;
    this.#links = links;
  }

  /** As of the last look. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  look(): UnderlayPlace {
    const links = this.#links();
    const link = this.#linkAmong(links);
    if (link !== undefined) {
      this.#linkName = link.name;
      this.#addresses = this.#addresses.map((old) => {
        const there = link.addresses.some(({ address }) => address === old);
        const next = link.addresses.find(({ address }) => familyOf(address) === familyOf(old));
        return there || next === undefined ? old : next.address;
      });
    }
    const found = this.#addresses.flatMap(
      (own) => link?.addresses.filter(({ address }) => address === own) ?? [],
    );
    return { addresses: this.#addresses, prefixes: found, mtu: link?.mtu };
  }

  #linkAmong(links: readonly HostLink[]): HostLink | undefined {
    const [primary = ""] = this.#addresses;
    const having = links.find((link) => link.addresses.some(({ address }) => address === primary));
    const known = links.find((link) => link.name === this.#linkName);
    if (having !== undefined || known !== undefined) return having ?? known;
    const candidates = links.filter((link) =>
      link.addresses.some(({ address }) => familyOf(address) === familyOf(primary)),
    );
    return candidates.length === 1 ? candidates[0] : undefined;
  }
}

/** Equal text, equal place. */
export function renderPlace({ addresses, prefixes, mtu }: UnderlayPlace): string {
  return `${addresses.join()} ${prefixes.map(renderCidr).join()} ${mtu ?? "-"}`;
}
