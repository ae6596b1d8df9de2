/** What a client has been sent and not yet handed out as a picture, or has handed out already. */

import type { ReceivedResponse } from "../wire/xds/discovery.ts";
import type { EncodedResource, XdsResources } from "../wire/xds/resources.ts";

export class Stage {
  readonly #types = new Map<string, Map<string, EncodedResource>>();
  /** It differs from what was handed out last; whoever hands it out says so. */
  isChanged = true;

  /** Of these types alone. */
  constructor(typeUrls: readonly string[]) {
    for (const typeUrl of typeUrls) this.#types.set(typeUrl, new Map());
  }

  get resources(): XdsResources {
    return this.#types;
  }

  holds(typeUrl: string): boolean {
    return this.#types.has(typeUrl);
  }

  named(typeUrl: string): ReadonlyMap<string, EncodedResource> {
    return this.#types.get(typeUrl) ?? none;
  }

  /** As `initial_resource_versions` tells it. */
  versions(typeUrl: string): Readonly<Record<string, string>> {
    const named = [...this.named(typeUrl)];
    return Object.fromEntries(named.map(([name, { version }]) => [name, version]));
  }

  take({ typeUrl, resources, removed }: Omit<ReceivedResponse, "nonce">): void {
    const named = this.#types.get(typeUrl);
    for (const resource of resources) {
      if (named?.get(resource.name)?.version !== resource.version) this.isChanged = true;
      named?.set(resource.name, resource);
    }
    for (const name of removed) this.drop(typeUrl, name);
  }

  drop(typeUrl: string, name: string): void {
    if (this.#types.get(typeUrl)?.delete(name) === true) this.isChanged = true;
  }
}

const none: ReadonlyMap<string, EncodedResource> = new Map();
