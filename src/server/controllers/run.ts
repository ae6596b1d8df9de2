/**
 * Runs a controller: on every World that concerns it, never on one that is older than its own last write.
 *
 * Writes go out together (they share a commit). That others were quicker (a conflict, a name taken, an object gone) is
 * no error: the World with their change is on its way. Anything else is logged and tried again with backoff.
 */

import { type BackoffOptions, backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { MeshError, renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import type { World } from "../../core/registry/world.ts";
import { keyOf, type Objects } from "../api/objects.ts";
import type { ServerWorld } from "../world.ts";
import type { Controller, Write } from "./controller.ts";

export interface RunOptions {
  readonly world: ServerWorld;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const backoff: BackoffOptions = { baseMs: 20, maxMs: 5_000 };

/** Ends when the signal does. */
export async function runController(
  controller: Controller,
  options: RunOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random } = options;
  const log = options.log.with({ controller: controller.name });
  let world = options.world.current();
  let failures = 0;
  while (!signal.aborted) {
    const { writes, againInMs } = controller.reconcile(world, { nowMs: clock.now(), random });
    const outcomes = await Promise.all(writes.map((write) => attempt(write, options.objects)));
    const failed = outcomes.filter((outcome) => "error" in outcome);
    for (const { error } of failed) log.warn("write refused", { error });
    failures = failed.length > 0 ? failures + 1 : 0;
    const retryMs = failures > 0 ? backoffMs(failures - 1, backoff, random) : againInMs;

    const versions = outcomes.map((outcome) => ("version" in outcome ? outcome.version : 0));
    const seen = world;
    try {
      world = await options.world.reached(Math.max(0, ...versions), signal);
    } catch {
      return;
    }
    if (!concerns(controller, seen, world)) {
      world = await nextConcerning(controller, seen, options, retryMs, signal);
    }
  }
}

/** The next World that differs in what the controller reads; the newest one when `retryMs` have passed. */
async function nextConcerning(
  controller: Controller,
  seen: World,
  { world, clock }: RunOptions,
  retryMs: number | undefined,
  signal: AbortSignal,
): Promise<World> {
  const woken = new AbortController();
  const until = AbortSignal.any([signal, woken.signal]);
  if (retryMs !== undefined) {
    clock.sleep(retryMs, until).then(
      () => woken.abort(),
      () => {},
    );
  }
  try {
    if (concerns(controller, seen, world.current())) return world.current();
    for await (const next of world.changes(until)) {
      if (concerns(controller, seen, next)) return next;
    }
    return world.current();
  } finally {
    woken.abort();
  }
}

function concerns({ reads }: Controller, before: World, after: World): boolean {
  if (reads === undefined) return before !== after;
  return reads.some((kind) => before.objects.get(kind) !== after.objects.get(kind));
}

type Outcome = { readonly version: number } | { readonly error: string };

async function attempt(write: Write, objects: Objects): Promise<Outcome> {
  try {
    const stored = await perform(write, objects);
    return { version: Number(stored.metadata.resourceVersion ?? 0) };
  } catch (error) {
    if (error instanceof MeshError && overtaken.includes(error.code)) return { version: 0 };
    return { error: renderError(error) };
  }
}

const overtaken = ["api.absent", "api.conflict", "store.absent", "store.conflict", "store.exists"];

async function perform(write: Write, objects: Objects) {
  const options = { fieldValidation: "Ignore" } as const;
  const { object } = write;
  const { uid } = object.metadata;
  switch (write.verb) {
    case "create":
      return (await objects.create(object, options)).object;
    case "update":
      return (await objects.update(object, "object", options)).object;
    case "status": {
      const sent = { ...object, status: write.status };
      const { resourceVersion: _, ...metadata } = object.metadata;
      return (await objects.update({ ...sent, metadata }, "status", options)).object;
    }
    case "delete":
      return objects.delete(keyOf(object), {
        ...options,
        ...(uid !== undefined && { uid }),
        ...(write.gracePeriodSeconds !== undefined && {
          gracePeriodSeconds: write.gracePeriodSeconds,
        }),
      });
  }
}
