/**
 * The paths of live traffic. Agents report, the administrator looks (who may is said in api/extensions.ts):
 *
 * - `POST /heddle/v1/report`: a NodeReport, from that node's own agent and nobody else.
 * - `GET /heddle/v1/graph?seconds=10`, `/heddle/v1/services/NAMESPACE/NAME?seconds=3600`, `/heddle/v1/pods?seconds=10`,
 *   `/heddle/v1/nodes`: views.
 * - `GET /heddle/v1/forecast/NAMESPACE/NAME`: see forecast/paths.ts.
 * - `GET /heddle/v1/stream?seconds=10`: server-sent events; see event-stream.ts.
 * - `POST /heddle/v1/network-checks`: has all nodes probe the paths between them; a NetworkCheck, within ten seconds.
 * - `GET /heddle/v1/tap?method=&path=&status=&from=&to=&target=`: requests one by one, a TapEvent a line; see taps.ts.
 */

import { MeshError } from "../../base/error.ts";
import type { ReportAnswer } from "../../model/observation.ts";
import { parseReport } from "../../wire/observation/parse.ts";
import { parseTapFilter } from "../../wire/observation/parse-tap.ts";
import { badRequest, readBody } from "../api/body.ts";
import type { ExtensionAnswer, ExtensionRequest } from "../api/handler.ts";
import type { Answer } from "../api/write.ts";
import { forecastPath } from "../forecast/paths.ts";
import type { EventStream } from "./event-stream.ts";
import type { Observatory } from "./observatory.ts";
import type { TapWish } from "./taps.ts";

const maxSeconds = 3_600;
const graphSeconds = 10;

/** Undefined where the path is none of these. */
export function observePaths(
  observatory: Observatory,
  stream: EventStream,
  request: ExtensionRequest,
): Promise<ExtensionAnswer> | undefined {
  const { method, pathname, query } = request;
  const answered = (view: (seconds: number) => unknown, usual = graphSeconds) =>
    Promise.resolve({ code: 200, body: view(secondsOf(query, usual)) });
  switch (`${method} ${pathname}`) {
    case "GET /heddle/v1/graph":
      return answered((seconds) => observatory.graph(seconds));
    case "GET /heddle/v1/pods":
      return answered((seconds) => observatory.pods(seconds));
    case "GET /heddle/v1/nodes":
      return answered(() => observatory.nodes());
    case "POST /heddle/v1/network-checks":
      return observatory.checks.run().then((body) => ({ code: 200, body }));
    case "GET /heddle/v1/tap":
      return Promise.resolve({ stream: observatory.taps.open(tapWish(observatory, query)) });
    case "GET /heddle/v1/stream":
      return Promise.resolve(stream.answer(secondsOf(query, graphSeconds)));
  }
  const forecast = forecastPath(observatory.forecasts, request);
  if (forecast !== undefined) return Promise.resolve(forecast);
  const [, namespace, name] = /^\/heddle\/v1\/services\/([^/]+)\/([^/]+)$/.exec(pathname) ?? [];
  if (method !== "GET" || namespace === undefined || name === undefined) return undefined;
  return answered((seconds) => {
    const view = observatory.service(namespace, name, seconds);
    if (view !== undefined) return view;
    throw new MeshError("api.absent", `there is no Service ${namespace}/${name}`, {
      fault: "user",
    });
  }, maxSeconds);
}

/** Takes a report of the calling node. */
export async function takeReport(
  observatory: Observatory,
  node: string,
  request: ExtensionRequest["request"],
): Promise<Answer> {
  const body = await readBody(request);
  const report = understood(() => parseReport(body), "report");
  if (report.node !== node) {
    throw new MeshError("api.forbidden", `node ${node} may not report for ${report.node}`, {
      fault: "user",
    });
  }
  if (!observatory.take(report)) {
    throw new MeshError("observation.nodes", "keep a report: too many nodes report already", {
      fault: "user",
    });
  }
  observatory.taps.take(node, report.taps);
  observatory.checks.take(node, report.checks);
  const answer: ReportAnswer = {
    taps: observatory.taps.orders(),
    checks: observatory.checks.orders(),
  };
  return { code: 200, body: answer };
}

function tapWish(observatory: Observatory, query: URLSearchParams): TapWish {
  const filter = understood(() => parseTapFilter((name) => query.get(name)), "tap");
  const { method, status } = filter;
  if (status !== undefined && !/^(\d{1,3}|[1-5]xx)$/.test(status)) {
    throw badRequest(`status: want a code such as 503, or 5xx, got "${status}"`);
  }
  if (method !== undefined && !/^[A-Z]+$/.test(method)) {
    throw badRequest(`method: want a word in capitals, got "${method}"`);
  }
  const target = query.get("target");
  if (target === null) return { filter, pods: () => undefined };
  if (observatory.podsMeant(target).length === 0) {
    throw new MeshError("api.absent", `there is no Service or pod "${target}"`, { fault: "user" });
  }
  return { filter, pods: () => observatory.podsMeant(target) };
}

function understood<T>(parse: () => T, what: string): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MeshError && error.code === "observation.malformed") {
      throw badRequest(`${what}: ${error.message}`);
    }
    throw error;
  }
}

function secondsOf(query: URLSearchParams, usual: number): number {
  const text = query.get("seconds");
  if (text === null) return usual;
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > maxSeconds) {
    throw badRequest(`seconds: want a whole number from 1 to ${maxSeconds}, got "${text}"`);
  }
  return seconds;
}
