/**
 * A sidecar's configuration over xDS, from the agent's relay on a unix socket: configuration on an aggregated delta
 * stream, secrets on a stream of their own.
 *
 * A snapshot is yielded only when there is both a complete configuration and, where it needs them, the node's secrets.
 * The others it refers to are part of the configuration. New secrets under
 * an unchanged configuration make a snapshot of their own, with a version of its own (`<version>+<n>`); only answers
 * about the configuration go back to the server.
 */

import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import type { ProxyConfig, ProxyNode, Secret } from "../../model/proxy-config.ts";
import { createAdsClient, type Snapshot } from "../../rpc/ads-client.ts";
import { Latest } from "../../rpc/latest.ts";
import { methods } from "../../rpc/methods.ts";
import { unixStreams } from "../../rpc/unix-stream.ts";
import { encodeProxyNode } from "../../wire/xds/node.ts";
import { checkResource, decodeProxyConfig } from "../../wire/xds/proxy-config.ts";
import { referencesOf, rootTypes } from "../../wire/xds/references.ts";
import {
  type EncodedResource,
  groupByType,
  proxyTypes,
  typeUrls,
} from "../../wire/xds/resources.ts";
import { decodeSecrets } from "../../wire/xds/secret.ts";
import { checkCluster } from "./build.ts";
import type { ConfigSource, ProxySnapshot } from "./source.ts";

/** Names of the secrets that a node's agent serves, as Istio calls them. */
const secretNames = ["default", "ROOTCA"];

export interface XdsSourceOptions {
  /** Path of the unix socket. */
  readonly socket: string;
  readonly node: ProxyNode;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export function createXdsSource(options: XdsSourceOptions): ConfigSource {
  const { node, clock, random, log } = options;
  const shared = { node: encodeProxyNode(node), clock, random };
  const configs = createAdsClient({
    ...shared,
    open: unixStreams(options.socket, methods.deltaResources),
    subscriptions: proxyTypes.map((typeUrl) => ({ typeUrl, names: ["*"] })),
    marks: true,
    others: { roots: rootTypes, check: checkAlone, references: otherReferences },
    decode: decodeProxyConfig,
    log: log.with({ stream: "configuration" }),
  });
  const secrets = createAdsClient({
    ...shared,
    open: unixStreams(options.socket, methods.deltaSecrets),
    subscriptions: [{ typeUrl: typeUrls.secret, names: secretNames }],
    marks: false,
    decode: decodeSecrets,
    log: log.with({ stream: "secrets" }),
  });

  const whole = new Latest<ProxySnapshot>();
  let config: Snapshot<ProxyConfig> | undefined;
  let certified: Snapshot<readonly Secret[]> | undefined;
  let renewals = 0;
  const publish = (): void => {
    if (config === undefined) return;
    if (certified === undefined && needsNodesSecrets(config.value)) return;
    const version = renewals === 0 ? config.version : `${config.version}+${renewals}`;
    whole.put({ version, config: config.value, secrets: certified?.value ?? [] });
  };
  const followConfigs = async (signal: AbortSignal): Promise<void> => {
    for await (const snapshot of configs.snapshots(signal)) {
      config = snapshot;
      renewals = 0;
      publish();
    }
  };
  const followSecrets = async (signal: AbortSignal): Promise<void> => {
    for await (const snapshot of secrets.snapshots(signal)) {
      if (certified !== undefined) renewals++;
      certified = snapshot;
      secrets.accept(snapshot.version);
      publish();
    }
  };

  return {
    async *snapshots(signal) {
      const stop = new AbortController();
      const until = AbortSignal.any([signal, stop.signal]);
      const following = [followConfigs(until), followSecrets(until)];
      try {
        for (;;) {
          const snapshot = await whole.take(until);
          if (snapshot === undefined) return;
          yield snapshot;
        }
      } finally {
        stop.abort();
        await Promise.allSettled(following);
      }
    },
    accept: (version) => configs.accept(configVersion(version)),
    reject: (version, error) => configs.reject(configVersion(version), error),
  };
}

function configVersion(version: string): string {
  return version.split("+")[0] ?? version;
}

/** Throws for what could not be run, whatever else the configuration holds. */
function checkAlone(resource: EncodedResource): void {
  checkResource(resource);
  decodeProxyConfig(groupByType([resource])).clusters.forEach(checkCluster);
}

function needsNodesSecrets(config: ProxyConfig): boolean {
  return secretNames.some((name) => referencesOf(config).get(typeUrls.secret)?.has(name) === true);
}

/** But for the node's own, which come on a stream of theirs. */
function otherReferences(config: ProxyConfig): ReadonlyMap<string, ReadonlySet<string>> {
  const references = new Map(referencesOf(config));
  const secrets = [...(references.get(typeUrls.secret) ?? [])];
  const users = secrets.filter((name) => !secretNames.includes(name));
  return references.set(typeUrls.secret, new Set(users));
}
