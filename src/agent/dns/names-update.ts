/**
 * What the name server must know of a view, and how little of it has to be said when the view changes.
 *
 * Names do not depend on labels, identities or, behind a virtual address, on endpoints: with those left out, a pod that
 * becomes ready or a policy that changes says nothing here. Views share what is unchanged, so one comparison by
 * identity for each object finds the rest.
 *
 * Not here: names and records (core/dns), how an update travels (control.ts).
 */

import type { NamedView } from "../../core/dns/name-table.ts";
import type { ExternalHostView, ServiceView, WorkloadView } from "../../model/node-view.ts";

/** From version `since` to version `version`; since 0: from nothing. */
export interface NamesUpdate {
  readonly since: number;
  readonly version: number;
  readonly services: Changes<ServiceView>;
  readonly workloads: Changes<WorkloadView>;
  /** Absent: no change, or an agent that knows none. */
  readonly externalHosts?: Changes<ExternalHostView>;
}

export interface Changes<T> {
  readonly set: readonly T[];
  /** `namespace/name`. */
  readonly gone: readonly string[];
}

interface Named {
  readonly namespace: string;
  readonly name: string;
}

/** What `after` has that `before` has not; undefined where names are the same. */
export function namesUpdate(
  before: NamedView | undefined,
  after: NamedView,
  since: number,
): NamesUpdate | undefined {
  const services = changes(before?.services ?? [], after.services, nameableService);
  const workloads = changes(before?.workloads ?? [], after.workloads, nameableWorkload);
  const hosts = changes(before?.externalHosts ?? [], after.externalHosts ?? [], (host) => host);
  const isSame = [services, workloads, hosts].every(
    ({ set, gone }) => set.length + gone.length === 0,
  );
  if (isSame && before !== undefined) return undefined;
  return {
    since: before === undefined ? 0 : since,
    version: since + 1,
    services,
    workloads,
    externalHosts: hosts,
  };
}

/** The view after an update of the one before; undefined where the update starts from another. */
export function updated(
  before: { readonly version: number; readonly view: NamedView } | undefined,
  update: NamesUpdate,
): NamedView | undefined {
  if (update.since !== 0 && update.since !== before?.version) return undefined;
  const base = update.since === 0 ? undefined : before?.view;
  return {
    services: applied(base?.services ?? [], update.services),
    workloads: applied(base?.workloads ?? [], update.workloads),
    externalHosts: applied(base?.externalHosts ?? [], update.externalHosts ?? noChanges),
  };
}

const noChanges: Changes<never> = { set: [], gone: [] };

function changes<T extends Named>(
  before: readonly T[],
  after: readonly T[],
  nameable: (object: T) => T,
): Changes<T> {
  if (before === after) return { set: [], gone: [] };
  const known = new Map(before.map((object) => [keyOf(object), object]));
  const set: T[] = [];
  for (const object of after) {
    const key = keyOf(object);
    const old = known.get(key);
    known.delete(key);
    if (old === object) continue;
    const said = nameable(object);
    if (old === undefined || JSON.stringify(nameable(old)) !== JSON.stringify(said)) set.push(said);
  }
  return { set, gone: [...known.keys()] };
}

function applied<T extends Named>(before: readonly T[], { set, gone }: Changes<T>): readonly T[] {
  if (set.length + gone.length === 0) return before;
  const known = new Map(before.map((object) => [keyOf(object), object]));
  for (const key of gone) known.delete(key);
  for (const object of set) known.set(keyOf(object), object);
  return [...known.values()];
}

/** Endpoints have names where there is no virtual address in front of them. */
function nameableService(service: ServiceView): ServiceView {
  if (service.clusterIp === undefined) return service;
  return { ...service, ports: service.ports.map((port) => ({ ...port, endpoints: [] })) };
}

function nameableWorkload(workload: WorkloadView): WorkloadView {
  return { ...workload, identity: 0, labels: {}, serviceAccount: "" };
}

function keyOf({ namespace, name }: Named): string {
  return `${namespace}/${name}`;
}
