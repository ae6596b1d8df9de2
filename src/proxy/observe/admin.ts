/**
 * What a sidecar tells about itself: readiness, configuration, clusters, metrics.
 *
 * Envoy's paths and forms (envoy-forms.ts), so that people and tools find them. Secrets are redacted. Plain `node:http`: nothing here is on the
 * data path.
 */

import type { Server, ServerResponse } from "node:http";
import { runInNewContext } from "node:vm";
import { MeshError, renderError } from "../../base/error.ts";
import { type LogThreshold, logLevels } from "../../base/log.ts";
import type { SidecarObservation } from "../../model/observation.ts";
import { renderText, textContentType } from "../../telemetry/exposition.ts";
import { parseTapFilter } from "../../wire/observation/parse-tap.ts";
import { createServer } from "../node-http.ts";
import type { Sidecar } from "../sidecar.ts";
import { type Legacy, legacyPath, renderLegacy } from "../succession.ts";
import { certificateReport } from "./certificates.ts";
import {
  clusterLines,
  clusterStatuses,
  configDump,
  listenerLines,
  listenerStatuses,
} from "./envoy-forms.ts";

interface Whole {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Or who writes the answer bit by bit. */
type Answer = Whole | ((response: ServerResponse) => void);

export interface AdminActions {
  readonly drain: () => void;
  /** What a successor is to have. */
  readonly legacy: () => Legacy;
  readonly log: LogThreshold;
  /** Name of the shared worker that the sidecar is in; undefined: the process is the sidecar's alone. */
  readonly worker?: string;
}

/** Every admin path. */
export function adminServer(sidecar: Sidecar, actions: AdminActions): Server {
  return serve((method, path, query) => {
    switch (path) {
      case "/":
      case "/help":
        return text(help);
      case "/ready":
        return readiness(sidecar);
      case "/config_dump":
        return json(configDump(sidecar, query.has("include_eds")));
      case "/clusters":
        return isJson(query) ? json(clusterStatuses(sidecar)) : text(clusterLines(sidecar));
      case "/listeners":
        return isJson(query) ? json(listenerStatuses(sidecar)) : text(listenerLines(sidecar));
      case "/certs":
        return json(certificates(sidecar));
      case "/server_info":
        return json(serverInfo(sidecar, actions.worker));
      case "/logging":
        return logging(actions.log, method, query.get("level"));
      case "/stats":
        return stats(sidecar, query);
      case "/stats/prometheus":
      case "/metrics":
        return metrics(sidecar);
      case "/heddle/observation":
        return { ...text(JSON.stringify(observation(sidecar))), type: "application/json" };
      case legacyPath:
        return { ...text(renderLegacy(actions.legacy())), type: "application/json" };
      case "/heddle/tap":
        return tap(sidecar, query);
      case "/drain":
        if (method !== "POST") return usePost;
        actions.drain();
        return text("draining\n");
      case "/drain_listeners":
        return method === "POST" ? drainListeners(sidecar) : usePost;
      default:
        return undefined;
    }
  });
}

const help = `admin paths are:
  /certs: certificates, and when they end
  /clusters: endpoints and what is under way to them (?format=json)
  /config_dump: the configuration in force, keys left out (?include_eds: endpoints, too)
  /drain (POST): end, once what is in flight has ended
  /drain_listeners (POST): take no more connections
  /heddle/observation: what the agent reads
  /heddle/tap: requests one by one, as they end
  /help: this
  /listeners: where connections arrive (?format=json)
  /logging: the log's level (POST ?level=debug sets it)
  /ready: whether a configuration is in force
  /server_info: who this is, and since when
  /stats: counters (?filter=REGEX, ?format=json or prometheus)
  /stats/prometheus, /metrics: the same for Prometheus
`;

const usePost: Whole = { ...text("use POST\n"), status: 405 };

/** Answers when the last request has been, or the time for it is over. */
function drainListeners(sidecar: Sidecar): Answer {
  return (response) => {
    void sidecar.drainListeners().then(() => response.end("drained\n"));
  };
}

/** Metrics, for the port that Prometheus scrapes from outside the pod; and what Istio's agent answers there. */
export function metricsServer(sidecar: Sidecar): Server {
  return serve((method, path, _query, caller) => {
    switch (path) {
      case "/stats/prometheus":
      case "/metrics":
        return metrics(sidecar);
      case "/healthz/ready":
        return readiness(sidecar);
      case "/quitquitquit":
        return quit(method, caller);
      default:
        return undefined;
    }
  });
}

/**
 * Where a Job has done its work, it asks here for the sidecar's end: with Istio the pod would not complete otherwise. No
 * container of a pod is ours, so that nothing need end. Nothing does: what other containers still do goes on, and the
 * pod's end is what drains its sidecar.
 */
function quit(method: string, caller: string): Whole {
  if (!isLoopback(caller)) return { ...text("only the pod itself may ask\n"), status: 403 };
  return method === "POST" ? text("OK") : usePost;
}

/** 127.0.0.0/8, in IPv6's form too, or ::1. */
function isLoopback(address: string): boolean {
  return address === "::1" || /^(?:::ffff:)?127\./.test(address);
}

/** Readiness only, for probes from outside the pod. */
export function readinessServer(sidecar: Sidecar): Server {
  return serve((_method, path) => (path === "/healthz/ready" ? readiness(sidecar) : undefined));
}

/** `fd`: a socket that listens already. */
export type Where =
  | { readonly path: string }
  | { readonly host: string; readonly port: number }
  | { readonly fd: number };

/** Resolves once `server` listens there. */
export async function listen(server: Server, where: Where): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const name = "port" in where ? `${where.host}:${where.port}` : Object.values(where).join();
      reject(new MeshError("sidecar.listen", `listen on ${name}`, { cause }));
    });
    server.listen(where, () => resolve());
  });
}

type Answering = (
  method: string,
  path: string,
  query: URLSearchParams,
  caller: string,
) => Answer | undefined;

function serve(answer: Answering): Server {
  return createServer((request, response) => {
    const [path = "", query = ""] = (request.url ?? "").split("?", 2);
    const caller = request.socket.remoteAddress ?? "";
    const found = answer(request.method ?? "GET", path, new URLSearchParams(query), caller);
    request.resume();
    if (typeof found === "function") {
      found(response);
      return;
    }
    const { status, type, body } = found ?? { ...text("not found\n"), status: 404 };
    response.writeHead(status, { "content-type": type });
    response.end(body);
  });
}

function readiness(sidecar: Sidecar): Whole {
  return sidecar.isReady ? text("LIVE\n") : { ...text("PRE_INITIALIZING\n"), status: 503 };
}

function metrics(sidecar: Sidecar): Whole {
  const body = renderText(sidecar.runtime.environment.metrics);
  return { status: 200, type: textContentType, body };
}

/** What the agent reads each second. */
function observation(sidecar: Sidecar): SidecarObservation {
  const { environment, recorder } = sidecar.runtime;
  return {
    start: environment.start,
    startedAt: environment.startedAt,
    edges: recorder.edges.counts(),
    serving: recorder.servings.counts(),
    losses: environment.losses.entries(),
  };
}

function tap(sidecar: Sidecar, query: URLSearchParams): Answer {
  try {
    const filter = parseTapFilter((name) => query.get(name));
    return (response) => sidecar.runtime.recorder.taps.open(filter, response);
  } catch (error) {
    return { ...text(`${renderError(error)}\n`), status: 400 };
  }
}

function certificates(sidecar: Sidecar): unknown {
  const { config, secrets } = sidecar.tables;
  const now = sidecar.runtime.environment.epochMs();
  const all = [...secrets, ...(config.secrets ?? [])];
  return { certificates: all.map((secret) => certificateReport(secret, now)) };
}

function serverInfo(sidecar: Sidecar, worker: string | undefined): unknown {
  const { environment, connections } = sidecar.runtime;
  const isLive = sidecar.isReady ? "LIVE" : "PRE_INITIALIZING";
  return {
    state: environment.isDraining ? "DRAINING" : isLive,
    node: environment.node.id,
    version: sidecar.tables.version,
    startedAt: new Date(environment.startedAt).toISOString(),
    pid: process.pid,
    ...(worker === undefined ? { mode: "dedicated" } : { mode: "shared", worker }),
    connections: connections.size,
    residentMegabytes: Math.round(process.memoryUsage.rss() / 2 ** 20),
    limits: environment.limits,
  };
}

/** The level that holds; with POST and one named, that from now on. */
function logging(log: LogThreshold, method: string, wanted: string | null): Whole {
  if (wanted !== null) {
    if (method !== "POST") return usePost;
    const level = logLevels.find((each) => each === wanted);
    if (level === undefined) {
      return {
        ...text(`level: want one of ${logLevels.join(", ")}, got "${wanted}"\n`),
        status: 400,
      };
    }
    log.least = level;
  }
  return text(`${log.least}\n`);
}

/** Envoy's forms: a line for each series, `name: value`, or JSON; of those whose name fits the filter. */
function stats(sidecar: Sidecar, query: URLSearchParams): Whole {
  const format = query.get("format") ?? "text";
  if (format === "prometheus") return metrics(sidecar);
  if (format !== "text" && format !== "json") {
    return { ...text(`format: want text, json or prometheus, got "${format}"\n`), status: 400 };
  }
  const series = renderText(sidecar.runtime.environment.metrics)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(/ (?=\S+$)/));
  const fitting = whichFit(
    query.get("filter") ?? "",
    series.map(([name = ""]) => name),
  );
  if (fitting === undefined) {
    return {
      ...text(`filter: want a quick regular expression, got "${query.get("filter")}"\n`),
      status: 400,
    };
  }
  const found = series.filter((_, index) => fitting[index]);
  if (format === "text") return text(found.map((one) => `${one.join(": ")}\n`).join(""));
  return json({ stats: found.map(([name, value]) => ({ name, value: Number(value) })) });
}

const mostFilterMs = 100;

/**
 * Undefined: it is no regular expression, or one that takes too long. Whoever is in the pod may ask, and requests, in a
 * worker those of other pods too, wait meanwhile. What takes long is what works for so long: time that others had of the
 * processor is none.
 */
function whichFit(filter: string, names: readonly string[]): readonly boolean[] | undefined {
  const began = workMs();
  do {
    try {
      const code = "names.map((name) => pattern.test(name))";
      const given = { names, pattern: new RegExp(filter) };
      return runInNewContext(code, given, { timeout: mostFilterMs });
    } catch (error) {
      if (!isTimeout(error)) return undefined;
    }
  } while (workMs() - began < mostFilterMs / 2);
  return undefined;
}

/** What this thread has had of a processor. */
function workMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** Made in the other context, it is no `Error` of this one. */
function isTimeout(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
}

function isJson(query: URLSearchParams): boolean {
  return query.get("format") === "json";
}

function json(value: unknown): Whole {
  return { status: 200, type: "application/json", body: `${JSON.stringify(value, null, 1)}\n` };
}

function text(body: string): Whole {
  return { status: 200, type: "text/plain; charset=utf-8", body };
}
