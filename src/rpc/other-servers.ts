/** What a client has to know of its resources to follow a server that marks no rounds: one that is not Heddle's. */

import { renderError } from "../base/error.ts";
import { checkType, type ReceivedResponse } from "../wire/xds/discovery.ts";
import type { EncodedResource } from "../wire/xds/resources.ts";

export interface OtherServers<T> {
  /** Types that nothing refers to: all of them belong to the picture. */
  readonly roots: readonly string[];
  /** Throws where the resource cannot be used; its message goes back to the server. */
  readonly check: (resource: EncodedResource) => void;
  /** Type URL → names that the value refers to, for each type that can be. */
  readonly references: (value: T) => ReadonlyMap<string, ReadonlySet<string>>;
}

/** Those of an answer that can be used, and what is wrong with the others. */
export function judged(
  { typeUrl, resources }: Pick<ReceivedResponse, "typeUrl" | "resources">,
  check: (resource: EncodedResource) => void,
): { readonly sound: readonly EncodedResource[]; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const sound = resources.filter((resource) => {
    try {
      checkType(resource, typeUrl);
      check(resource);
      return true;
    } catch (error) {
      problems.push(renderError(error));
      return false;
    }
  });
  return { sound, problems };
}
