/** The endpoints of a cluster whose endpoints are names: what those lead to, as of now. */

import { isIp } from "../../../base/ip.ts";
import type { Cluster, Endpoint } from "../../../model/proxy-config.ts";
import type { Names, Watch } from "./names.ts";

export type NamedDiscovery = Extract<Cluster["discovery"], { readonly kind: "dns" }>;

/** Names to look up, each once. */
export function namesIn({ endpoints }: NamedDiscovery): readonly string[] {
  return [...new Set(endpoints.map(({ address }) => address).filter((name) => !isIp(name)))];
}

export class NamedMembers {
  readonly #names: Names;
  readonly #onChange: () => void;
  #watches = new Map<string, Watch>();

  constructor(names: Names, onChange: () => void) {
    this.#names = names;
    this.#onChange = onChange;
  }

  /** Follows the names of this configuration, and no others any more. */
  follow(discovery: NamedDiscovery): void {
    const before = this.#watches;
    this.#watches = new Map(
      namesIn(discovery).map((name) => [
        name,
        before.get(name) ?? this.#names.watch(name, this.#onChange),
      ]),
    );
    for (const [name, watch] of before) if (!this.#watches.has(name)) watch.release();
  }

  endpoints({ endpoints, uses }: NamedDiscovery): readonly Endpoint[] {
    return endpoints.flatMap((endpoint) => {
      const found = this.#watches.get(endpoint.address)?.addresses ?? [endpoint.address];
      const used = uses === "every" ? found : found.slice(0, 1);
      // Under the name that led there, unless it has one of its own.
      return used.map((address) => ({ hostname: endpoint.address, ...endpoint, address }));
    });
  }

  stop(): void {
    for (const watch of this.#watches.values()) watch.release();
    this.#watches.clear();
  }
}
