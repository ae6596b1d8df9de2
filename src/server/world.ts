/**
 * The server's World: the store's objects as one immutable picture, renewed as they change.
 *
 * Changes that arrive together make one new World. Whoever must not act on old news (a controller that has just
 * written) waits with `reached` for the World that has its write.
 */

import { MeshError } from "../base/error.ts";
import { applyToWorld, emptyWorld, type World } from "../core/registry/world.ts";
import type { Store, StoreEvent } from "../store/store.ts";
import type { WorldSource } from "./world-source.ts";

export interface ServerWorld extends WorldSource {
  /** The first World that contains the version. Rejects with the signal's reason. */
  reached(version: number, signal: AbortSignal): Promise<World>;
}

/** Complete when it resolves; follows the store until the signal ends it. */
export async function openWorld(store: Store, signal: AbortSignal): Promise<ServerWorld> {
  let world = await read(store);
  let waiting: (() => void)[] = [];
  let pending: StoreEvent[] = [];

  function publish(next: World): void {
    world = next;
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  }

  function flush(): void {
    const events = pending;
    pending = [];
    publish(applyToWorld(world, events));
  }

  async function follow(): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const event of store.watch(world.version, signal)) {
          pending.push(event);
          if (pending.length === 1) setImmediate(flush);
        }
      } catch (error) {
        if (!(error instanceof MeshError) || error.code !== "store.expired") throw error;
        pending = [];
        publish(await read(store));
      }
    }
  }
  // A store that cannot be followed any more is the end of this process: nothing here could be right afterwards.
  void follow();

  function change(until: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        until.removeEventListener("abort", wake);
        resolve();
      };
      until.addEventListener("abort", wake, { once: true });
      waiting.push(wake);
    });
  }

  return {
    current: () => world,

    async *changes(until) {
      let seen = world;
      while (!until.aborted) {
        if (world === seen) {
          await change(until);
          continue;
        }
        seen = world;
        yield world;
      }
    },

    async reached(version, until) {
      while (world.version < version) {
        until.throwIfAborted();
        await change(until);
      }
      return world;
    },
  };
}

async function read(store: Store): Promise<World> {
  const { version, objects } = await store.list();
  const changes = objects.map((object) => ({ type: "added" as const, version, object }));
  return { ...applyToWorld(emptyWorld(), changes), version };
}
