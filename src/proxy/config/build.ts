/**
 * Snapshot → tables, all or nothing.
 *
 * `prepare` compiles everything and throws on whatever cannot be run, naming it; nothing that is in force has been
 * touched by then. `commit` only swaps references: clusters take over their endpoints, the caller takes over the
 * tables. A route to a cluster that is not there is no reason to refuse a snapshot; that route answers 503 NC.
 */

import { MeshError, renderError } from "../../base/error.ts";
import { parseCidr } from "../../base/ip.ts";
import type {
  Cluster,
  FilterChain,
  Listener,
  NetworkFilter,
  ProxyConfig,
  RouteConfig,
  Tracing,
} from "../../model/proxy-config.ts";
import type { Environment } from "../environment.ts";
import { accessLog } from "../filter/access-log.ts";
import { admission } from "../filter/admission.ts";
import { edge } from "../filter/edge.ts";
import { grpcWeb } from "../filter/grpc-web.ts";
import { metrics } from "../filter/metrics.ts";
import { rateLimit } from "../filter/rate-limit.ts";
import { rbac } from "../filter/rbac.ts";
import { permitPages, selectRoute } from "../filter/select-route.ts";
import { serving } from "../filter/serving.ts";
import { tracing } from "../filter/tracing.ts";
import type { Recorder } from "../observe/recorder.ts";
import type { SpanExporters } from "../observe/span-exporter.ts";
import { introduce } from "../peer-introduction.ts";
import { type Filter, stack } from "../stack/handler.ts";
import { tcpAccessLog } from "../tcp/access-log.ts";
import { ClusterRuntime, type ClusterSecurity, type Members } from "../upstream/cluster.ts";
import { probeProblem } from "../upstream/health-probe.ts";
import { compileRbac } from "./matchers.ts";
import { RouteTable } from "./route-table.ts";
import type { ProxySnapshot } from "./source.ts";
import type { ChainTls, CompiledChain, ListenerTable, Tables } from "./tables.ts";
import { TlsContexts } from "./tls-contexts.ts";

export interface Prepared {
  readonly listeners: readonly ListenerTable[];
  /** Puts the snapshot in force and answers its tables. Cannot fail. */
  commit(): Tables;
}

export interface BuildOptions {
  readonly environment: Environment;
  readonly recorder: Recorder;
  readonly spans: SpanExporters;
  /** Where lines of access logs go; undefined: nowhere, whoever asks for one. */
  readonly accessLog?: (line: string) => void;
}

export function prepare(
  snapshot: ProxySnapshot,
  before: Tables | undefined,
  options: BuildOptions,
): Prepared {
  const { config } = snapshot;
  const { environment } = options;
  const secrets = [...(config.secrets ?? []), ...snapshot.secrets];
  const contexts = new TlsContexts(secrets, environment, before?.contexts);
  const introduction = introduce(environment.node.workload);
  environment.buckets.prepare();
  options.spans.prepare();

  const clusters = new Map<string, ClusterRuntime>();
  const updates: (() => void)[] = [];
  const endpoints = new Map(config.endpoints.map((entry) => [entry.cluster, entry]));
  for (const cluster of config.clusters) {
    const runtime =
      before?.clusters.get(cluster.name) ?? new ClusterRuntime(cluster, environment, introduction);
    const tls = within("cluster", cluster.name, () => clusterTls(cluster));
    checkCluster(cluster);
    clusters.set(cluster.name, runtime);
    const { discovery, name } = cluster;
    const named = discovery.kind === "eds" ? (discovery.endpoints ?? name) : name;
    updates.push(() => runtime.update(cluster, endpoints.get(named) ?? nobody, tls));
  }

  const routeTables = new Map<string, RouteTable>();
  const findCluster = (name: string) => clusters.get(name);
  const tableOf = (route: RouteConfig) =>
    within(
      "route configuration",
      route.name,
      () => new RouteTable(route, findCluster, environment),
    );
  for (const route of config.routes) routeTables.set(route.name, tableOf(route));

  const listeners = config.listeners.map((listener) =>
    within("listener", listener.name, () => compileListener(listener)),
  );

  return {
    listeners,
    commit() {
      for (const update of updates) update();
      environment.buckets.commit();
      options.spans.commit();
      for (const [name, runtime] of before?.clusters ?? []) {
        if (!clusters.has(name)) runtime.drain();
      }
      return assemble(snapshot, config, listeners, clusters, contexts);
    },
  };

  function clusterTls(cluster: Cluster): ClusterSecurity {
    const { tls, originate } = cluster;
    return {
      mesh: tls && contexts.forMesh(cluster, tls),
      outside: originate && usersOwn(cluster.name, () => contexts.forOutside(cluster, originate)),
    };
  }

  /** What users keep in Secrets may be missing or broken: that is the end of what it is for, and of nothing else. */
  function usersOwn<T>(name: string, build: () => T): T | undefined {
    try {
      return build();
    } catch (error) {
      environment.log.warn("TLS settings cannot be used", { name, reason: renderError(error) });
      return undefined;
    }
  }

  function compileListener(listener: Listener): ListenerTable {
    const chains = listener.filterChains.map((chain) => compileChain(listener, chain));
    const fallback = listener.defaultFilterChain;
    return {
      name: listener.name,
      direction: listener.direction,
      address: listener.address,
      port: listener.port,
      bindToPort: listener.bindToPort,
      useOriginalDestination: listener.useOriginalDestination,
      proxyProtocol: listener.proxyProtocol,
      chains,
      defaultChain: fallback === undefined ? undefined : compileChain(listener, fallback),
    };
  }

  function compileChain(listener: Listener, chain: FilterChain): CompiledChain {
    return within("filter chain", chain.name, () => {
      const base = {
        name: chain.name,
        match: chain.match,
        prefixes: chain.match.destinations?.map(parseCidr),
        tls: chain.tls === undefined ? undefined : tlsOf(chain.name, chain.tls),
        rbac: chain.rbac.map(compileRbac),
      };
      const { filter } = chain;
      if (filter.kind === "tcp") {
        const destinations = filter.clusters.map((to) => ({
          name: to.cluster,
          weight: to.weight,
          cluster: clusters.get(to.cluster),
          requestEdit: undefined,
          responseEdit: undefined,
        }));
        const idleTimeoutMs = (filter.idleTimeoutMs ?? defaultTcpIdleMs) || Infinity; // 0: never
        const write = filter.accessLog === true ? options.accessLog : undefined;
        const log = write && tcpAccessLog(write, environment);
        return { ...base, kind: "tcp", destinations, idleTimeoutMs, log };
      }
      const scheme = chain.tls === undefined ? "http" : "https";
      return { ...base, kind: "http", handle: httpHandler(listener, filter, scheme) };
    });
  }

  function httpHandler(
    listener: Listener,
    filter: Extract<NetworkFilter, { kind: "http" }>,
    scheme: "http" | "https",
  ): ReturnType<typeof stack> {
    const { routes } = filter;
    const table = routes.kind === "inline" ? tableOf(routes.config) : routeTables.get(routes.name);
    const permit = permitPages(table);
    const rules = filter.rbac.map(compileRbac);
    const limit = filter.rateLimit;
    const write = filter.accessLog === true ? options.accessLog : undefined;
    // Chains of one port, with TLS and without, share a name and so a bucket.
    const place = `${listener.name} ${filter.statPrefix}`;
    return stack(
      [
        filter.translatesGrpcWeb === true ? grpcWeb : undefined, // all others see calls of gRPC
        filter.isEdge === true ? edge(scheme, filter.trustedProxies ?? 0) : undefined, // first: what strangers say of themselves is nobody's to read
        write === undefined ? undefined : accessLog(write, environment),
        filter.tracing === undefined ? undefined : traced(filter.tracing, listener.direction),
        metrics(options.recorder, listener.direction), // sees refusals too
        admission(environment.overload, permit),
        rules.length > 0 ? rbac(rules, environment, permit) : undefined, // before anything is sent or kept
        limit === undefined ? undefined : rateLimit(environment.buckets.at(place, limit), permit),
        listener.direction === "inbound" ? serving(options.recorder.servings) : undefined,
      ],
      selectRoute(table),
    );
  }

  function traced(config: Tracing, direction: Listener["direction"]): Filter {
    const exporter = options.spans.at(config);
    const { host, path, service } = config;
    updates.push(() => {
      exporter.collector = { cluster: clusters.get(config.cluster), host, path, service };
    });
    return tracing(config, direction, exporter, environment);
  }

  function tlsOf(name: string, tls: NonNullable<FilterChain["tls"]>): ChainTls {
    const { alpn, requireClientCertificate, clients } = tls;
    const build = () => contexts.forChain(tls);
    return {
      context: clients.kind === "mesh" ? build() : usersOwn(name, build),
      alpn,
      requireClientCertificate,
      asksForCertificate: tls.validation !== undefined,
      clients,
    };
  }
}

const nobody: Members = { endpoints: [] };

/** Envoy's default for TCP proxying. */
const defaultTcpIdleMs = 3_600_000;

function assemble(
  snapshot: ProxySnapshot,
  config: ProxyConfig,
  listeners: readonly ListenerTable[],
  clusters: ReadonlyMap<string, ClusterRuntime>,
  contexts: TlsContexts,
): Tables {
  const byDestination = new Map<string, ListenerTable>();
  // By listener, then by name: every request asks, and a key made of both would have to be composed and hashed for it.
  const chains = new Map<string, ReadonlyMap<string, CompiledChain>>();
  for (const listener of listeners) {
    if (!listener.bindToPort) {
      byDestination.set(`${listener.direction} ${listener.address}:${listener.port}`, listener);
    }
    const { defaultChain } = listener;
    const own = defaultChain === undefined ? listener.chains : [...listener.chains, defaultChain];
    chains.set(listener.name, new Map(own.map((chain) => [chain.name, chain])));
  }
  return {
    version: snapshot.version,
    config,
    secrets: snapshot.secrets,
    listeners,
    clusters,
    contexts,
    virtualListener: (direction, address, port) =>
      byDestination.get(`${direction} ${address}:${port}`) ??
      byDestination.get(`${direction} 0.0.0.0:${port}`),
    chain: (listener, chain) => chains.get(listener)?.get(chain),
  };
}

/** Throws for what no other part of a configuration can make up for. */
export function checkCluster(cluster: Cluster): void {
  const problem = probeProblem(cluster);
  if (problem !== undefined) {
    throw new MeshError(
      "proxy.config.cluster",
      `build cluster ${cluster.name}: healthCheck is ${problem}`,
    );
  }
  if (cluster.connectTimeoutMs <= 0) {
    throw new MeshError(
      "proxy.config.cluster",
      `build cluster ${cluster.name}: connectTimeoutMs must be above 0, got ${cluster.connectTimeoutMs}`,
    );
  }
}

function within<T>(what: string, name: string, build: () => T): T {
  try {
    return build();
  } catch (cause) {
    throw new MeshError("proxy.config.build", `build ${what} ${name}`, { cause });
  }
}
