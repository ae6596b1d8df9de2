/** What every installation has from its first start: the three namespaces and the address plan. */

import type { Resource } from "../api/resource.ts";
import { MeshError } from "../base/error.ts";
import { defaultNetwork } from "../core/registry/settings.ts";
import { permanentNamespaces } from "./api/deletion.ts";
import type { Objects } from "./api/objects.ts";

/** Creates what is missing; what is there stays as it is. */
export async function createFirstObjects(objects: Objects): Promise<void> {
  const namespaces = permanentNamespaces.map(
    (name): Resource => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } }),
  );
  for (const object of [...namespaces, defaultNetwork]) {
    try {
      await objects.create(object);
    } catch (error) {
      if (!(error instanceof MeshError && error.code === "store.exists")) throw error;
    }
  }
}
