/**
 * Which elements of the node's table are about one pod: what CHECK asks the kernel for.
 *
 * They are found in the compiled ruleset by the pod's link and address, so that a map that is added is checked as well.
 */

import type { NftElement, Ruleset } from "../../model/node-state.ts";
import type { Attachment } from "../../model/node-view.ts";

export function podElements(
  ruleset: Ruleset,
  { addresses, hostLink }: Pick<Attachment, "addresses" | "hostLink">,
): readonly NftElement[] {
  const isOfPod = (part: string) => part === `"${hostLink}"` || addresses.includes(part);
  const names = (text: string) => text.split(" . ").some(isOfPod);
  return [
    ...ruleset.sets.flatMap(({ name, flags, elements }) =>
      // In a set of ranges an address is covered by an element, not one.
      flags?.includes("interval") === true
        ? []
        : elements.filter(names).map((key) => ({ collection: name, key })),
    ),
    ...ruleset.maps.flatMap(({ name, elements }) =>
      [...elements.keys()]
        .filter((key) => names(key) || names(elements.get(key) ?? ""))
        .map((key) => ({ collection: name, key })),
    ),
  ];
}
