/**
 * Finds the virtual host of an authority: exact, then the longest `*.suffix`, then the longest `prefix.*`, then `*`;
 * Envoy's order. An authority with a port is looked up with it and then without, as Istio's route tables ask for.
 */

import { MeshError } from "../../base/error.ts";
import type { VirtualHost } from "../../model/proxy-config.ts";
import { ByLength } from "./by-length.ts";

export interface HostTable<T> {
  find(authority: string): T | undefined;
}

export function compileHosts<T>(
  hosts: readonly VirtualHost[],
  compile: (host: VirtualHost) => T,
): HostTable<T> {
  const exact = new Map<string, T>();
  const suffixes = new ByLength<T>("end");
  const prefixes = new ByLength<T>("start");
  let any: T | undefined;
  for (const host of hosts) {
    const value = compile(host);
    for (const written of host.domains) {
      const domain = written.toLowerCase();
      if (domain === "*") any ??= value;
      else if (domain.startsWith("*")) suffixes.at(domain.slice(1), () => value);
      else if (domain.endsWith("*")) prefixes.at(domain.slice(0, -1), () => value);
      else if (!exact.has(domain)) exact.set(domain, value);
      else {
        throw new MeshError(
          "proxy.config.domain",
          `build virtual host ${host.name}: domain ${domain} belongs to another one already`,
          { fault: "heddle" },
        );
      }
    }
  }
  // The wildcard stands for at least one character.
  const lookUp = (name: string): T | undefined =>
    exact.get(name) ?? suffixes.longest(name.slice(1)) ?? prefixes.longest(name.slice(0, -1));

  return {
    find(authority) {
      const direct = exact.get(authority);
      if (direct !== undefined) return direct;
      const name = authority.toLowerCase();
      const port = /:\d+$/.exec(name);
      const found = lookUp(name) ?? (port === null ? undefined : lookUp(name.slice(0, port.index)));
      return found ?? any;
    },
  };
}
