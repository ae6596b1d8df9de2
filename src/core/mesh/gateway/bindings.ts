/**
 * Which VirtualServices serve a gateway's server, and for which hosts.
 *
 * One that names the Gateway, that the gateway's namespace may see, and whose namespace the server's host admits. Its
 * hosts and the server's are intersected: of two that overlap the narrower counts.
 */

import type { VirtualService } from "../../../api/istio/networking.ts";
import { namespaceOf } from "../../registry/workloads.ts";
import { objectsOf } from "../../registry/world.ts";
import type { ProxyContext } from "../context.ts";
import { hostMatches, resolveHost } from "../host.ts";
import { gatewayNamed } from "../http-match.ts";
import { byAge, isVisible } from "../visibility.ts";
import type { Server } from "./servers.ts";

export interface Binding {
  readonly rules: VirtualService;
  /** In the order in which they are written. */
  readonly hosts: readonly string[];
}

/** Oldest first; only those that have some host in common with the server. */
export function bindingsOf(context: ProxyContext, server: Server): readonly Binding[] {
  return [...objectsOf<VirtualService>(context.world, "VirtualService")]
    .filter((rules) => isBoundTo(rules, server.key))
    .filter(({ spec, ...rules }) => isVisible(spec.exportTo, namespaceOf(rules), context.namespace))
    .sort(byAge)
    .map((rules) => ({ rules, hosts: commonHosts(rules, server) }))
    .filter(({ hosts }) => hosts.length > 0);
}

function isBoundTo(rules: VirtualService, gateway: string): boolean {
  const owner = namespaceOf(rules);
  return (rules.spec.gateways ?? []).some((name) => gatewayNamed(name, owner) === gateway);
}

function commonHosts(rules: VirtualService, server: Server): readonly string[] {
  const owner = namespaceOf(rules);
  const admitting = server.hosts.filter(
    ({ namespace }) => namespace === "*" || namespace === owner,
  );
  const hosts = (rules.spec.hosts ?? []).flatMap((written) => {
    const wanted = resolveHost(written, owner);
    return admitting.flatMap(({ host }) => narrower(host, wanted) ?? []);
  });
  return [...new Set(hosts)];
}

/** Undefined where no name can be both. */
function narrower(a: string, b: string): string | undefined {
  if (hostMatches(a, b)) return b;
  return hostMatches(b, a) ? a : undefined;
}
