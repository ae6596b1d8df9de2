/** ServiceEntries as destinations of an explanation: which one a name or an address means to a pod, and its ports. */

import type { ServiceEntry } from "../../api/istio/service-entry.ts";
import type { Pod } from "../../api/k8s/core.ts";
import { isIp, longestPrefix, parseCidr } from "../../base/ip.ts";
import { mostSpecific } from "../mesh/host.ts";
import type { MeshPort, MeshService } from "../mesh/mesh-service.ts";
import { visibleServices } from "../mesh/services.ts";
import { normalHost } from "../registry/external-hosts.ts";
import { isGateway, isMeshed, namespaceOf } from "../registry/workloads.ts";
import { objectKey, objectsOf, type World } from "../registry/world.ts";
import type { Decider } from "./explanation.ts";

/** A host of a ServiceEntry at one of its ports. */
export interface EntryPort {
  readonly service: MeshService;
  readonly port: MeshPort;
}

/** Whom a host means to the pod; undefined where it has no sidecar, for which alone ServiceEntries are. */
export function entryOfHost(world: World, source: Pod, host: string): MeshService | undefined {
  return mostSpecific(entriesFor(world, source), (entry) => entry.host, normalHost(host));
}

/** Whom an address means at a port. */
export function entryOfAddress(
  world: World,
  source: Pod,
  address: string,
  port: number | undefined,
): MeshService | undefined {
  const reach = ({ addresses }: MeshService): number =>
    longestPrefix(
      addresses.map((one) => parseCidr(isIp(one) ? `${one}/${one.includes(":") ? 128 : 32}` : one)),
      address,
    );
  const fitting = entriesFor(world, source).filter(
    (entry) =>
      reach(entry) >= 0 && (port === undefined || entry.ports.some((one) => one.port === port)),
  );
  return fitting.toSorted((a, b) => reach(b) - reach(a))[0];
}

function entriesFor(world: World, source: Pod): readonly MeshService[] {
  if (!isMeshed(source) || isGateway(source)) return [];
  return visibleServices(world, namespaceOf(source)).filter(({ kind }) => kind === "ServiceEntry");
}

/** The object that says so, and where in it; the oldest with the port counts, as for sidecars. */
export function entryDecider(
  world: World,
  { namespace, host }: Pick<MeshService, "namespace" | "host">,
  port: number,
  field = "",
): Decider | undefined {
  for (const entry of objectsOf<ServiceEntry>(world, "ServiceEntry")) {
    if (namespaceOf(entry) !== namespace) continue;
    if (!entry.spec.hosts.some((one) => normalHost(one) === host)) continue;
    const index = (entry.spec.ports ?? []).findIndex((one) => one.number === port);
    if (index < 0) continue;
    const path = field === "" ? `spec.ports[${index}]` : field;
    return { kind: "ServiceEntry", name: objectKey(entry), path };
  }
  return undefined;
}

/** How endpoints of the port are found, in words. */
export function resolutionInWords({ resolution, endpoints }: MeshPort): string {
  const names = endpoints.map(({ address }) => address).filter((address) => !isIp(address));
  const looked = names.length === 0 ? "" : `, ${names.join(", ")} looked up by the sidecar`;
  const first = resolution === "first-address" ? " (the first address of each answer)" : "";
  return `${endpoints.length} endpoint${endpoints.length === 1 ? "" : "s"}${looked}${first}`;
}
