/**
 * `heddle tap`: requests one by one as they end, each as both its ends saw it.
 *
 * What is told goes to standard output, what is about it (the tap is on, so many were left out) to standard error, so
 * that a pipe gets requests only.
 */

import { type Command, InvalidArgumentError, Option } from "commander";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import type { TapEvent, TappedRequest } from "../model/observation.ts";
import { apiError } from "../rpc/api-error.ts";
import type { HttpTransport } from "../rpc/http-transport.ts";

export interface TapFlags {
  readonly method?: string;
  readonly path?: string;
  readonly status?: string;
  readonly from?: string;
  readonly to?: string;
  /** Seconds. */
  readonly for?: number;
  readonly output?: "json";
}

export interface TapOutput {
  /** A request. */
  readonly out: (line: string) => void;
  /** What is to be known about the tap. */
  readonly note: (line: string) => void;
}

/** The server says something at least every ten seconds. */
const silenceMs = 30_000;

/** Adds arguments and options; how to reach the server is the caller's. */
export function tapCommand(command: Command): Command {
  return command
    .description("requests one by one as they end, each as both its ends saw it")
    .argument("[target]", "of this Service, pod, Deployment or app only; NAMESPACE/NAME")
    .option("--method <method>", "such as GET", (text: string) => text.toUpperCase())
    .option("--path <prefix>", "what the path begins with")
    .option("--status <code>", "such as 503, or 5xx")
    .option("--from <workload>", "who calls")
    .option("--to <service>", "who is called")
    .option("--for <duration>", "how long, such as 10s or 2m", parseDuration)
    .addOption(new Option("-o, --output <format>", "one JSON object a line").choices(["json"]));
}

/** Tells requests until aborted, or until the time is up. */
export async function runTap(
  transport: HttpTransport,
  target: string | undefined,
  flags: TapFlags,
  { out, note }: TapOutput,
  signal: AbortSignal,
): Promise<void> {
  const until =
    flags.for === undefined
      ? signal
      : AbortSignal.any([signal, AbortSignal.timeout(flags.for * 1000)]);
  const request = {
    method: "GET",
    path: `/heddle/v1/tap?${queryOf(target, flags)}`,
    signal: until,
  };
  try {
    const lines = transport.lines(request, silenceMs, (response) => {
      throw apiError(response);
    });
    for await (const line of lines) {
      if (line !== "") tell(parseEvent(line));
    }
  } catch (error) {
    if (!until.aborted) throw error;
  }

  function tell(event: TapEvent): void {
    switch (event.kind) {
      case "on":
        note(`tapping on ${event.nodes} ${event.nodes === 1 ? "node" : "nodes"}`);
        break;
      case "left-out":
        note(`${event.count} more requests matched and were left out: too many to show`);
        break;
      case "request":
        out(flags.output === "json" ? JSON.stringify(event.request) : renderTapped(event.request));
        break;
    }
  }
}

/** `18:05:03.123  out  shop/web → shop/catalogue  GET /items  200  3.2 ms  mTLS  by 10.244.0.5:8080 …`. */
export function renderTapped(request: TappedRequest): string {
  const { reporter, source, destination, method, path, status, flag, mtls, route } = request;
  return [
    new Date(request.at).toISOString().slice(11, 23),
    reporter === "source" ? "out" : "in ",
    `${source} → ${destination}`,
    `${method} ${path}`,
    status === 0 ? "no answer" : String(status),
    ...(flag === "-" ? [] : [flag]),
    `${request.durationMs.toFixed(1)} ms`,
    mtls ? "mTLS" : "plain",
    ...(reporter === "destination" ? [request.pod] : []),
    ...(reporter === "source" && request.upstream !== undefined ? [`to ${request.upstream}`] : []),
    ...(reporter === "source" && route !== undefined && route !== "default"
      ? [`by VirtualService ${route}`]
      : []),
  ].join("  ");
}

function queryOf(target: string | undefined, flags: TapFlags): URLSearchParams {
  const { method, path, status, from, to } = flags;
  const words = { target, method, path, status, from, to };
  return new URLSearchParams(
    Object.entries(words).flatMap(([name, word]) => (word === undefined ? [] : [[name, word]])),
  );
}

/** The server made it from the same types. */
function parseEvent(line: string): TapEvent {
  const event: unknown = JSON.parse(line);
  if (isRecord(event) && typeof event["kind"] === "string") return event as unknown as TapEvent;
  const message = "read a tap: the server answered something else; is it of another version?";
  throw new MeshError("cli.answer", message, { fault: "peer" });
}

function parseDuration(text: string): number {
  const [, number = "", unit] = /^(\d+(?:\.\d+)?)(s|m)?$/.exec(text) ?? [];
  const seconds = Number(number) * (unit === "m" ? 60 : 1);
  if (number !== "" && seconds > 0 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("want a time such as 10s or 2m");
}
