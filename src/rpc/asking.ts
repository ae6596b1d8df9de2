/**
 * What a client asks a server for when a stream opens.
 *
 * One of ours is asked for everything, and for marks. Another is asked for what nothing refers to, and by name for the
 * rest: most would send all endpoints and all keys that they have to who asked for them. Until a server has answered
 * nobody knows whose it is.
 */

import { typeUrls } from "../wire/xds/resources.ts";
import type { Awaited } from "./awaited.ts";

export interface Asking {
  readonly typeUrl: string;
  /** `["*"]` is everything of the type. */
  readonly names: readonly string[];
}

export function withMark(subscriptions: readonly Asking[]): readonly Asking[] {
  return [...subscriptions, { typeUrl: typeUrls.snapshot, names: ["*"] }];
}

/** The roots, and what they are known to refer to. */
export function ofOthers(
  subscriptions: readonly Asking[],
  roots: readonly string[],
  awaited: Awaited | undefined,
): readonly Asking[] {
  return subscriptions
    .map(({ typeUrl, names }) =>
      roots.includes(typeUrl)
        ? { typeUrl, names }
        : { typeUrl, names: [...(awaited?.named(typeUrl) ?? [])] },
    )
    .filter(({ names }) => names.length > 0);
}
