/**
 * Gives each port of each Service, in each of its families, a number, and each address and port an owner.
 *
 * Numbers are hashes of names, so they are the same whatever other Services come and go, and a Service that goes and
 * comes again has its old one. Where two fall on the same, the later in sorted order takes the next; where two Services
 * claim one address and port, the first has it and the other is told. Both are the rare case: what is usual is
 * remembered with the Service, and a change costs one look at each number and key.
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

/** In the order of `services`. A Service for which nothing changed gets the same object again. */
export function assignPorts(services: readonly ServiceView[]): {
  readonly assigned: readonly Assigned[];
  readonly diagnostics: readonly Diagnostic[];
} {
  const taken = new Set<PortNumber>();
  const owners = new Map<string, ServiceView>();
  const diagnostics: Diagnostic[] = [];
  const assigned = services.map((service) => {
    const known = wishOf(service);
    const ports = known.usual.ports.map((numbered) => {
      const number = freeNumber(numbered.number, taken);
      taken.add(number);
      return number === numbered.number ? numbered : { ...numbered, number };
    });
    const lost = new Set<string>();
    for (const claim of known.claims) {
      const owner = owners.get(claim);
      if (owner === undefined) owners.set(claim, service);
      else {
        lost.add(claim);
        diagnostics.push(collision(service, owner, claim));
      }
    }
    const isUsual = lost.size === 0 && ports.every((each, at) => each === known.usual.ports[at]);
    return isUsual ? known.usual : { service, ports, lost };
  });
  return { assigned, diagnostics };
}

interface Wish {
  readonly claims: readonly string[];
  readonly usual: Assigned;
}

const wishes = new WeakMap<ServiceView, Wish>();

function wishOf(service: ServiceView): Wish {
  let wish = wishes.get(service);
  if (wish === undefined) {
    const ports = familiesOf(service).flatMap((family) =>
      service.ports.map((port) => {
        const { namespace, name } = service;
        const text = `${namespace}/${name} ${port.protocol} ${port.port} ${family.family}`;
        return { family, port, number: (hashText(text) % (portNumberLimit - 1)) + 1 };
      }),
    );
    wish = { claims: claimsOf(service), usual: { service, ports, lost: new Set() } };
    wishes.set(service, wish);
  }
  return wish;
}

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
