/**
 * Finds the virtual host of an authority: exact, then the longest `*.suffix`, then the longest `prefix.*`, then `*`;
 * Envoy's order. An authority with a port is looked up with it and then without, as Istio's route tables ask for.
 */

import { MeshError } from "../../base/error.ts";
import type { VirtualHost } from "../../model/proxy-config.ts";

export interface HostTable<T> {
  find(authority: string): T | undefined;
}

export function compileHosts<T>(
  hosts: readonly VirtualHost[],
  compile: (host: VirtualHost) => T,
): HostTable<T> {
  const exact = new Map<string, T>();
  const suffixes: { readonly text: string; readonly value: T }[] = [];
  const prefixes: { readonly text: string; readonly value: T }[] = [];
  let any: T | undefined;
  for (const host of hosts) {
    const value = compile(host);
    for (const written of host.domains) {
      const domain = written.toLowerCase();
      if (domain === "*") any ??= value;
      else if (domain.startsWith("*")) suffixes.push({ text: domain.slice(1), value });
      else if (domain.endsWith("*")) prefixes.push({ text: domain.slice(0, -1), value });
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
  // Longest first: the most specific wildcard wins.
  suffixes.sort((a, b) => b.text.length - a.text.length);
  prefixes.sort((a, b) => b.text.length - a.text.length);

  const lookUp = (name: string): T | undefined =>
    exact.get(name) ??
    // The wildcard stands for at least one character.
    suffixes.find(({ text }) => name.length > text.length && name.endsWith(text))?.value ??
    prefixes.find(({ text }) => name.length > text.length && name.startsWith(text))?.value;

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
