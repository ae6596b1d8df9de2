/**
 * Gives each port of each Service, in each of its families, a number, and each address and port an owner.
 *
 * Numbers are hashes of names, so they are the same whatever other Services come and go, and a Service that goes and
 * comes again has its old one. Where two fall on the same, the later in sorted order takes the next; where two Services
 * claim one address and port, the first has it and the other is told. Both are rare: what a Service usually has is
 * remembered with it.
 */

import type { Diagnostic } from "../../../base/compiled.ts";
import { hashText } from "../../../base/hash.ts";
import type { ServiceView } from "../../../model/node-view.ts";
import { type PortNumber, portNumberLimit } from "./marks.ts";
import { claimsOf, familiesOf, type NumberedPort } from "./part.ts";

export interface Assigned {
  readonly service: ServiceView;
  readonly ports: readonly NumberedPort[];
  /** Claims that another Service has; usually none. */
  readonly lost: ReadonlySet<string>;
}

/** In the order of `services`. */
export function assignPorts(services: readonly ServiceView[]): {
  readonly assigned: readonly Assigned[];
  readonly diagnostics: readonly Diagnostic[];
} {
  const taken = new Set<PortNumber>();
  const owners = new Map<string, ServiceView>();
  const diagnostics: Diagnostic[] = [];
  const assigned = services.map((service) => {
    const usual = usualPorts(service);
    const ports = usual.ports.map((numbered) => {
      const number = freeNumber(numbered.number, taken);
      taken.add(number);
      return number === numbered.number ? numbered : { ...numbered, number };
    });
    const lost = new Set<string>();
    for (const claim of usual.names) {
      const owner = owners.get(claim);
      if (owner === undefined) owners.set(claim, service);
      else {
        lost.add(claim);
        diagnostics.push(collision(service, owner, claim));
      }
    }
    return { service, ports, lost };
  });
  return { assigned, diagnostics };
}

/** What a Service has where nobody else claims the same: the usual case. */
export interface UsualPorts {
  readonly ports: readonly NumberedPort[];
  /** Addresses and ports, each once. */
  readonly names: readonly string[];
  /** The same, and the numbers. */
  readonly claims: readonly (string | number)[];
}

export function usualPorts(service: ServiceView): UsualPorts {
  let usual = remembered.get(service);
  if (usual === undefined) {
    const ports = familiesOf(service).flatMap((family) =>
      service.ports.map((port) => {
        const { namespace, name } = service;
        const text = `${namespace}/${name} ${port.protocol} ${port.port} ${family.family}`;
        return { family, port, number: (hashText(text) % (portNumberLimit - 1)) + 1 };
      }),
    );
    const names = [...new Set(claimsOf(service))];
    usual = { ports, names, claims: [...names, ...ports.map(({ number }) => number)] };
    remembered.set(service, usual);
  }
  return usual;
}

const remembered = new WeakMap<ServiceView, UsualPorts>();

function freeNumber(wanted: PortNumber, taken: ReadonlySet<PortNumber>): PortNumber {
  let number = wanted;
  while (taken.has(number)) number = (number % (portNumberLimit - 1)) + 1;
  return number;
}

function collision(service: ServiceView, owner: ServiceView, claim: string): Diagnostic {
  const key = claim.slice(claim.indexOf(" ") + 1);
  return {
    severity: "error",
    code: "HEDDLE0303",
    where: `Service ${service.namespace}/${service.name}`,
    message: `${key} belongs to Service ${owner.namespace}/${owner.name}, which keeps it`,
  };
}
