/** A forecast as a page for eyes: what was fitted, predicted beside measured, the curve with the live point on it. */

import type {
  Forecast,
  ForecastLatency,
  RecoveryForecast,
  RecoveryJudged,
} from "../model/forecast.ts";
import { drawCurve } from "./forecast-curve.ts";
import { ms, percent, rate } from "./quantities.ts";

export function renderForecast(forecast: Forecast): string {
  const { service, unknown } = forecast;
  if (unknown !== undefined) return [service, "", `  ${unknown}`, ...past(forecast)].join("\n");
  return [
    service,
    "",
    ...fittedLines(forecast),
    "",
    ...latencyLines(forecast),
    ...drawCurve(forecast).map((line) => (line === "" ? "" : `  ${line}`)),
    "",
    ...limitLines(forecast),
    ...errorLines(forecast),
    ...recoveryLines(forecast),
    ...past(forecast),
    ...forecast.notes.map((note) => labelled("note", note)),
  ].join("\n");
}

function labelled(label: string, text: string): string {
  return `  ${label.padEnd(14)}${text}`;
}

function fittedLines({ fitted }: Forecast): string[] {
  if (fitted === undefined) return [];
  const { workers, utilisation, overheadMs, seenBy } = fitted;
  const replicas = `${fitted.replicas} replica${fitted.replicas === 1 ? "" : "s"}`;
  const each =
    workers === undefined ? "no limit seen" : `${workers} worker${workers === 1 ? "" : "s"} each`;
  const busy = utilisation === undefined ? "" : `, ${percent(utilisation)} busy`;
  const eyes = seenBy === "callers" ? "callers' sidecars" : "the service's own sidecars";
  return [
    labelled("fitted", `${fitted.model}: ${replicas}, ${each}${busy}`),
    labelled(
      "",
      `service ${ms(fitted.serviceMs)} (SCV ${number(fitted.serviceScv)}), arrivals SCV ${number(fitted.arrivalScv)}, network and proxies ${ms(overheadMs)}`,
    ),
    labelled(
      "",
      `from ${fitted.requests} requests in ${Math.round(fitted.windowSeconds)} s; latency as ${eyes} see it`,
    ),
  ];
}

interface Row {
  readonly what: string;
  readonly load?: number;
  readonly busy?: number;
  readonly latency?: ForecastLatency;
  readonly instead?: string;
}

function latencyLines({ live, asked, fitted, withoutOneReplica }: Forecast): string[] {
  const rows: Row[] = [];
  if (live !== undefined)
    rows.push({ what: "measured now", load: live.requestsPerSecond, latency: live.latency });
  if (asked !== undefined) {
    const { requestsPerSecond: load, replicas, utilisation, latency, unbounded } = asked;
    const isOther = fitted !== undefined && replicas !== fitted.replicas;
    rows.push({
      what: isOther ? `predicted, ${replicas} replica${replicas === 1 ? "" : "s"}` : "predicted",
      load,
      ...(utilisation === undefined ? {} : { busy: utilisation }),
      ...(latency === undefined ? {} : { latency }),
      ...(unbounded === undefined ? {} : { instead: unbounded }),
    });
    const { latency: lessLatency, unbounded: lessUnbounded } = withoutOneReplica ?? {};
    rows.push({
      what: "one replica less",
      load,
      ...(lessLatency === undefined ? {} : { latency: lessLatency }),
      ...(lessUnbounded === undefined ? {} : { instead: lessUnbounded }),
    });
  }
  return [row(["", "LOAD", "BUSY", "MEAN", "P50", "P90", "P99"]), ...rows.flatMap(renderRow)];
}

function renderRow({ what, load, busy, latency, instead }: Row): string[] {
  const loadCell = load === undefined ? "" : rate(load);
  const busyCell = busy === undefined ? "" : percent(busy);
  if (latency === undefined) {
    return [row([what, loadCell, busyCell, "no bound"]), ...wrapped(instead ?? "").map(indented)];
  }
  const { meanMs, p50Ms, p90Ms, p99Ms } = latency;
  return [row([what, loadCell, busyCell, ...[meanMs, p50Ms, p90Ms, p99Ms].map(ms)])];
}

const widths = [22, 10, 7, 9, 9, 9, 9];

function row(cells: readonly string[]): string {
  const padded = cells.map((cell, i) =>
    i === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[i] ?? 0),
  );
  return `  ${padded.join("")}`.trimEnd();
}

function limitLines(forecast: Forecast): string[] {
  const { saturationRequestsPerSecond, kneeRequestsPerSecond, replicasNeeded, asked } = forecast;
  const lines: string[] = [];
  if (saturationRequestsPerSecond !== undefined && kneeRequestsPerSecond !== undefined) {
    const with_ = `with ${asked?.replicas} replica${asked?.replicas === 1 ? "" : "s"}`;
    lines.push(
      labelled(
        "limits",
        `p99 doubles at ${rate(kneeRequestsPerSecond)}, saturation at ${rate(saturationRequestsPerSecond)}, ${with_}`,
      ),
    );
  }
  if (replicasNeeded !== undefined && saturationRequestsPerSecond !== undefined)
    lines.push(
      labelled(
        "needed",
        `${replicasNeeded} to keep p99 below twice its unloaded value at this load`,
      ),
    );
  return lines;
}

function errorLines({ errors, judged }: Forecast): string[] {
  const last = judged.at(-1);
  if (errors === undefined || last === undefined)
    return [labelled("error so far", "no prediction has been judged yet")];
  const { predicted, measured } = last;
  return [
    labelled(
      "error so far",
      `p50 ${percent(errors.p50Share)}, p99 ${percent(errors.p99Share)}, mean over ${judged.length} prediction${judged.length === 1 ? "" : "s"} of the next half minute`,
    ),
    labelled(
      "",
      `last: p50 ${ms(predicted.p50Ms)} predicted, ${ms(measured.p50Ms)} measured; p99 ${ms(predicted.p99Ms)} predicted, ${ms(measured.p99Ms)} measured`,
    ),
  ];
}

function recoveryLines({ recovery }: Forecast): string[] {
  if (recovery === undefined) return [];
  return [labelled("if one dies", promised(recovery)), labelled("", recovery.basis)];
}

function promised(recovery: RecoveryForecast): string {
  const { detectMs, detectIntervalMs, lostRequests, lostInterval, certainty } = recovery;
  return `ejected within ${ms(detectMs)} (${between(detectIntervalMs.map(ms))}), ${number(lostRequests)} requests lost (${between(lostInterval.map(number))}), ${percent(certainty)} sure`;
}

function past({ recoveries, at }: Forecast): string[] {
  return recoveries.flatMap((judged) => [
    labelled("has died", `${judged.endpoint}, ${ago(at - judged.at)}: ${measuredWords(judged)}`),
    labelled("", `predicted: ${promised(judged.predicted)}`),
  ]);
}

function measuredWords({ measured, predicted }: RecoveryJudged): string {
  const { recoverMs, lostRequests } = measured;
  const isWithin =
    lies(recoverMs, predicted.detectIntervalMs) && lies(lostRequests, predicted.lostInterval);
  const verdict = isWithin ? "as predicted" : "not as predicted";
  return `ejected within ${ms(recoverMs)}, ${lostRequests} requests lost: ${verdict}`;
}

function lies(value: number, [low, high]: readonly [number, number]): boolean {
  return value >= low && value <= high;
}

function between([low = "", high = ""]: readonly string[]): string {
  return `${low} … ${high}`;
}

function ago(elapsedMs: number): string {
  const seconds = Math.max(0, Math.round(elapsedMs / 1000));
  return seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
}

function number(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(2);
}

const textWidth = 74;

function wrapped(text: string): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line.length + word.length > textWidth) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

function indented(line: string): string {
  return `      ${line}`;
}
