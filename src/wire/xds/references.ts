/** What the resources of a configuration refer to, for servers that send nothing that was not asked for by name. */

import type { FilterChain, ProxyConfig } from "../../model/proxy-config.ts";
import { typeUrls } from "./resources.ts";

/** Nothing refers to these: all of them are asked for. */
export const rootTypes: readonly string[] = [typeUrls.cluster, typeUrls.listener];

/** Type URL → names, for each type that can be referred to. */
export function referencesOf(config: ProxyConfig): ReadonlyMap<string, ReadonlySet<string>> {
  const routes = new Set<string>();
  const endpoints = new Set<string>();
  const secrets = new Set<string>();
  const add = (to: Set<string>, ...names: readonly (string | undefined)[]): void => {
    for (const name of names) if (name !== undefined) to.add(name);
  };
  for (const { filterChains, defaultFilterChain } of config.listeners) {
    for (const { filter, tls } of [...filterChains, ...present(defaultFilterChain)]) {
      if (filter.kind === "http" && filter.routes.kind === "rds") routes.add(filter.routes.name);
      add(secrets, tls?.certificate, tls?.validation);
    }
  }
  for (const { name, discovery, tls, originate } of config.clusters) {
    if (discovery.kind === "eds") endpoints.add(discovery.endpoints ?? name);
    add(secrets, tls?.certificate, tls?.validation, originate?.certificate);
    if (originate?.trust.kind === "secret") secrets.add(originate.trust.name);
  }
  return new Map([
    [typeUrls.secret, secrets],
    [typeUrls.endpoints, endpoints],
    [typeUrls.route, routes],
  ]);
}

function present(chain: FilterChain | undefined): readonly FilterChain[] {
  return chain === undefined ? [] : [chain];
}
