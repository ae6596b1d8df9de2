/** The metadata that every object has. Each kind says how its name must be. */

import { annotations, labels } from "./names.ts";
import type { Check } from "./schema/check.ts";
import { list, record } from "./schema/record.ts";
import { anything, boolean, nonEmpty, text } from "./schema/scalar.ts";

const ownerReference = record({
  "apiVersion!": nonEmpty,
  "kind!": nonEmpty,
  "name!": nonEmpty,
  "uid!": nonEmpty,
  controller: boolean,
  blockOwnerDeletion: boolean,
});

export function metadata(name: Check, namespace: Check | undefined): Check {
  return record({
    "name!": name,
    generateName: text(),
    ...(namespace && { namespace }),
    labels,
    annotations,
    finalizers: list(nonEmpty),
    ownerReferences: list(ownerReference),
    // Written by the server; people send them back with what they read.
    uid: anything,
    resourceVersion: text(),
    generation: anything,
    creationTimestamp: anything,
    deletionTimestamp: anything,
    deletionGracePeriodSeconds: anything,
    managedFields: anything,
    selfLink: anything,
  });
}

/** The metadata of a template: what its objects will have; names are made for them. */
export const templateMetadata: Check = record({
  name: text(),
  generateName: text(),
  namespace: text(),
  labels,
  annotations,
  finalizers: list(nonEmpty),
  ownerReferences: anything,
  creationTimestamp: anything,
});
