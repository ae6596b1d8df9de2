/** Empties namespaces that are being deleted, and lets them go when nothing is left in them. */

import type { Resource } from "../../api/resource.ts";
import { objectsOf } from "../../core/registry/world.ts";
import type { Controller, Write } from "./controller.ts";

export const namespaces: Controller = {
  name: "namespaces",
  reconcile(world) {
    const leaving = objectsOf<Resource>(world, "Namespace").filter(
      ({ metadata }) => metadata.deletionTimestamp !== undefined,
    );
    if (leaving.length === 0) return { writes: [] };
    const names = new Set(leaving.map(({ metadata }) => metadata.name));
    const contents = [...world.objects.keys()]
      .flatMap((kind) => objectsOf<Resource>(world, kind))
      .filter(({ metadata }) => metadata.namespace !== undefined && names.has(metadata.namespace));
    const occupied = new Set(contents.map(({ metadata }) => metadata.namespace));
    const writes: Write[] = [
      ...contents
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
        .map((object): Write => ({ verb: "delete", object })),
      ...leaving
        .filter(({ metadata }) => !occupied.has(metadata.name))
        .map((object): Write => ({ verb: "delete", object, gracePeriodSeconds: 0 })),
    ];
    return { writes };
  },
};
