/** What rate limits a request counts towards. They refuse nothing by themselves: only many requests meet them. */

import {
  globalRateLimitAnnotation,
  localRateLimitAnnotation,
} from "../../api/heddle/traffic-annotations.ts";
import type { Service } from "../../api/k8s/core.ts";
import type { ProxyConfig, RateLimit } from "../../model/proxy-config.ts";
import { inboundCluster } from "../mesh/names.ts";
import { objectKey, objectNamed, type World } from "../registry/world.ts";
import type { Decider, Step } from "./explanation.ts";

export function limitInWords({ maxTokens, tokensPerFill, fillIntervalMs }: RateLimit): string {
  return `at most ${tokensPerFill} in ${fillIntervalMs} ms, ${maxTokens} at once`;
}

/** The limit of the chain that took the request in the pod's sidecar; nothing where it has none. */
export function inboundLimit(
  world: World,
  config: ProxyConfig,
  chain: string | undefined,
  port: number,
): readonly Step[] {
  const taken = config.listeners
    .flatMap(({ filterChains }) => filterChains)
    .find(({ name }) => name === chain);
  const limit = taken?.filter.kind === "http" ? taken.filter.rateLimit : undefined;
  if (limit === undefined) return [];
  const detail = `${limitInWords(limit)}, of all callers together`;
  return [{ step: "rate limit", outcome: "pass", by: whose(world, config, port), detail }];
}

function whose(world: World, config: ProxyConfig, port: number): readonly Decider[] {
  const of = config.clusters.find(({ name }) => name === inboundCluster(port))?.service;
  const service = of && objectNamed<Service>(world, "Service", of.namespace, of.name);
  if (service === undefined) return [];
  const names = [localRateLimitAnnotation, globalRateLimitAnnotation];
  const given = names.find((name) => service.metadata.annotations?.[name] !== undefined);
  const path = `metadata.annotations[${JSON.stringify(given)}]`;
  return [{ kind: "Service", name: objectKey(service), path }];
}
