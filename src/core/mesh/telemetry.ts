/**
 * What a proxy tells of requests and of connections, by Istio's kind Telemetry: access log and tracing.
 *
 * The mesh's (root namespace), the namespace's and the workload's hold one after the other: each says what it says, and
 * leaves the rest as it was. Providers are the Network's; `envoy`, the sidecar's own log, is always there.
 *
 * Not here: metrics, which are always counted whole; of tracing custom tags, of logs their filter (HEDDLE0115).
 */

import type { ExtensionProvider } from "../../api/heddle/v1.ts";
import type { Telemetry, TelemetryMatch } from "../../api/istio/telemetry.ts";
import type { Pod } from "../../api/k8s/core.ts";
import type { Compiled, Diagnostic } from "../../base/compiled.ts";
import type {
  Direction,
  FilterChain,
  Listener,
  ProxyConfig,
  Tracing,
} from "../../model/proxy-config.ts";
import { type Labels, matchesLabels } from "../registry/selector.ts";
import { networkOf } from "../registry/settings.ts";
import { namespaceOf, workloadLabelsOf } from "../registry/workloads.ts";
import { objectsOf, type World } from "../registry/world.ts";
import type { ProxyContext } from "./context.ts";
import { outboundCluster } from "./names.ts";
import { byAge, describe, isForTargets, rootNamespace } from "./visibility.ts";

/** Istio's, where tracing is asked for and nothing is said of how much. */
const defaultPercent = 1;

const ownLog: ExtensionProvider = { name: "envoy", envoyFileAccessLog: {} };

interface Told {
  readonly accessLog: boolean;
  readonly tracing: Tracing | undefined;
}

/** The listeners, with what is to be told of the requests that they take. */
export function withTelemetry(
  { world, namespace, labels }: Pick<ProxyContext, "world" | "namespace" | "labels">,
  pod: Pod,
  { listeners, clusters }: Pick<ProxyConfig, "listeners" | "clusters">,
): Compiled<readonly Listener[]> {
  const levels = levelsFor(world, namespace, labels);
  const targeted = objectsOf<Telemetry>(world, "Telemetry")
    .filter((one) => namespaceOf(one) === namespace && isForTargets(one))
    .map((one) =>
      note(one, "targetRefs", "is about kinds that are not there: it holds for nobody"),
    );
  if (levels.length === 0) return { value: listeners, diagnostics: targeted };
  const reader = new Reader(world, pod, clusters);
  const told = {
    outbound: reader.toldOf(levels, "outbound"),
    inbound: reader.toldOf(levels, "inbound"),
  };
  return {
    value: listeners.map((listener) => telling(listener, told[listener.direction])),
    diagnostics: [...targeted, ...levels.flatMap(notDone), ...reader.notes],
  };
}

/** Those that hold for the pod, from the widest to its own; at each level the oldest. */
function levelsFor(world: World, namespace: string, labels: Labels): readonly Telemetry[] {
  const all = objectsOf<Telemetry>(world, "Telemetry")
    .filter((one) => !isForTargets(one))
    .sort(byAge);
  const own = all.filter((one) => namespaceOf(one) === namespace);
  const isWide = (one: Telemetry): boolean => Object.keys(selectorOf(one)).length === 0;
  const levels = [
    all.find((one) => namespaceOf(one) === rootNamespace && isWide(one)),
    namespace === rootNamespace ? undefined : own.find(isWide),
    own.find((one) => !isWide(one) && matchesLabels(labels, selectorOf(one))),
  ];
  return levels.filter((level) => level !== undefined);
}

function selectorOf({ spec }: Telemetry): Labels {
  return spec?.selector?.matchLabels ?? {};
}

/** Reads the levels of one pod, and notes what is wrong with them once for both directions. */
class Reader {
  readonly #providers: readonly ExtensionProvider[];
  readonly #pod: Pod;
  readonly #clusters: ReadonlySet<string>;
  readonly #notes = new Map<string, Diagnostic>();

  constructor(world: World, pod: Pod, clusters: ProxyConfig["clusters"]) {
    this.#providers = [...(networkOf(world).spec.extensionProviders ?? []), ownLog];
    this.#pod = pod;
    this.#clusters = new Set(clusters.map(({ name }) => name));
  }

  get notes(): readonly Diagnostic[] {
    return [...this.#notes.values()];
  }

  toldOf(levels: readonly Telemetry[], direction: Direction): Told {
    return {
      accessLog: this.#isLogged(levels, direction),
      tracing: this.#tracing(levels, direction),
    };
  }

  #isLogged(levels: readonly Telemetry[], direction: Direction): boolean {
    let isLogged = false;
    for (const level of levels) {
      for (const [index, rule] of (level.spec?.accessLogging ?? []).entries()) {
        if (!concerns(rule.match, direction)) continue;
        const where = `${describe(level)} spec.accessLogging[${index}].providers`;
        const named = rule.providers ?? [];
        const found = (named.length === 0 ? [ownLog] : named).map(({ name }) =>
          this.#named(name, where),
        );
        if (found.some((one) => one?.envoyFileAccessLog !== undefined)) {
          isLogged = rule.disabled !== true;
        }
      }
    }
    return isLogged;
  }

  #tracing(levels: readonly Telemetry[], direction: Direction): Tracing | undefined {
    let collector: ExtensionProvider["opentelemetry"];
    let percent = defaultPercent;
    let isTold = true;
    let where = "";
    for (const level of levels) {
      for (const [index, rule] of (level.spec?.tracing ?? []).entries()) {
        if (!concerns(rule.match, direction)) continue;
        const [named] = rule.providers ?? [];
        if (named !== undefined) {
          where = `${describe(level)} spec.tracing[${index}].providers`;
          collector = this.#named(named.name, where)?.opentelemetry;
        }
        percent = rule.randomSamplingPercentage ?? percent;
        if (rule.disableSpanReporting !== undefined) isTold = !rule.disableSpanReporting;
      }
    }
    if (collector === undefined || !isTold) return undefined;
    const tracing = tracingBy(collector, this.#pod, percent);
    if (this.#clusters.has(tracing.cluster)) return tracing;
    return this.#note(where, `the pod knows no ${tracing.host}: its spans would reach nobody`);
  }

  #named(name: string, where: string): ExtensionProvider | undefined {
    const found = this.#providers.find((one) => one.name === name);
    return (
      found ?? this.#note(where, `the Network has no provider "${name}": nothing is told to it`)
    );
  }

  #note(where: string, message: string): undefined {
    this.#notes.set(where, { severity: "warning", code: "HEDDLE0115", where, message });
  }
}

function concerns(match: TelemetryMatch | undefined, direction: Direction): boolean {
  const { mode = "CLIENT_AND_SERVER" } = match ?? {};
  return mode === "CLIENT_AND_SERVER" || mode === (direction === "outbound" ? "CLIENT" : "SERVER");
}

function tracingBy(
  { service, port, http }: NonNullable<ExtensionProvider["opentelemetry"]>,
  pod: Pod,
  percent: number,
): Tracing {
  const host = service.slice(service.indexOf("/") + 1);
  const { app, workload, namespace } = workloadLabelsOf(pod);
  return {
    cluster: outboundCluster(port, undefined, host),
    host: `${host}:${port}`,
    path: http.path ?? "/v1/traces",
    // Istio's: the canonical service and its namespace.
    service: `${app === "unknown" ? workload : app}.${namespace}`,
    percent,
  };
}

function note(telemetry: Telemetry, field: string, message: string): Diagnostic {
  const where = `${describe(telemetry)} spec.${field}`;
  return { severity: "warning", code: "HEDDLE0115", where, message };
}

/** What of a Telemetry is not done as it asks. */
function notDone(telemetry: Telemetry): readonly Diagnostic[] {
  const { metrics, accessLogging = [], tracing = [] } = telemetry.spec ?? {};
  return [
    ...(metrics === undefined
      ? []
      : [note(telemetry, "metrics", "metrics are counted whole, for everybody")]),
    ...accessLogging.flatMap(({ filter }, index) =>
      filter === undefined
        ? []
        : [note(telemetry, `accessLogging[${index}].filter`, "every request is logged")],
    ),
    ...tracing.flatMap(({ customTags }, index) =>
      customTags === undefined
        ? []
        : [note(telemetry, `tracing[${index}].customTags`, "spans do not get them")],
    ),
  ];
}

function telling(listener: Listener, { accessLog, tracing }: Told): Listener {
  if (!accessLog && tracing === undefined) return listener;
  const chained = (chain: FilterChain): FilterChain => {
    const log = accessLog ? { accessLog } : {};
    const { filter } = chain;
    if (filter.kind === "tcp") return { ...chain, filter: { ...filter, ...log } };
    const traced = tracing === undefined ? {} : { tracing };
    return { ...chain, filter: { ...filter, ...log, ...traced } };
  };
  const { defaultFilterChain: fallback } = listener;
  return {
    ...listener,
    filterChains: listener.filterChains.map(chained),
    ...(fallback === undefined ? {} : { defaultFilterChain: chained(fallback) }),
  };
}
