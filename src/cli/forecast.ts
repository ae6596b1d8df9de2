/**
 * `heddle forecast`: what a server predicts of a service's latency and recovery.
 *
 * What is drawn and said is the server's answer; nothing is computed here. A question that has no number for an answer
 * gets a sentence: what is unknown is no failure of the command (exit code 0 with `-o json`, 3 without), an unknown
 * service or a load that is none is (1).
 */

import { type Command, Option } from "commander";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import { parseLoad, parseReplicas } from "../core/forecast/question.ts";
import type { Forecast } from "../model/forecast.ts";
import type { HttpTransport } from "../rpc/http-transport.ts";
import { renderForecast } from "./forecast-page.ts";

export interface ForecastFlags {
  readonly namespace?: string;
  readonly rps?: string;
  readonly replicas?: string;
  readonly output?: "json";
}

/** Nothing could be predicted: no traffic yet, or no bound. */
const noPredictionExitCode = 3;

/** Adds arguments and options; how to reach the server is the caller's. */
export function forecastCommand(command: Command): Command {
  return command
    .description("latency, saturation and recovery of a service, from its live traffic")
    .argument("<service>", "a Service, NAMESPACE/NAME")
    .option("-n, --namespace <namespace>", "the Service's namespace", "default")
    .option("--rps <load>", "at this load: requests per second, or x2 for twice the live one")
    .option("--replicas <number>", "with so many replicas")
    .addOption(new Option("-o, --output <format>", "for programs").choices(["json"]))
    .addHelpText(
      "after",
      `\nExit code ${noPredictionExitCode}: there is nothing to predict from, or no bound.`,
    );
}

export interface Printed {
  readonly text: string;
  readonly exitCode: number;
}

export async function forecastAnswer(
  transport: HttpTransport,
  service: string,
  flags: ForecastFlags,
): Promise<Printed> {
  const { namespace, name } = serviceNamed(service, flags.namespace ?? "default");
  const query = new URLSearchParams();
  if (flags.rps !== undefined) {
    const load = parseLoad(flags.rps);
    query.set("rps", load.kind === "times" ? `x${load.factor}` : String(load.requestsPerSecond));
  }
  if (flags.replicas !== undefined) query.set("replicas", String(parseReplicas(flags.replicas)));
  const path = `/heddle/v1/forecast/${namespace}/${name}`;
  const { code, body } = await transport.send({
    method: "GET",
    path: query.size === 0 ? path : `${path}?${query}`,
  });
  if (code !== 200) throw refused(code, body);
  const forecast = parseForecast(body);
  if (flags.output === "json") return { text: JSON.stringify(forecast, undefined, 2), exitCode: 0 };
  const isUnbounded = forecast.unknown !== undefined || forecast.asked?.unbounded !== undefined;
  return { text: renderForecast(forecast), exitCode: isUnbounded ? noPredictionExitCode : 0 };
}

function refused(code: number, body: unknown): MeshError {
  const message = isRecord(body) ? body["message"] : undefined;
  const said = typeof message === "string" ? message : `the server answered ${code}`;
  return new MeshError("cli.forecast", said, { fault: code < 500 ? "user" : "peer" });
}

/** The server is of this version; what it says of itself is taken as it is. */
function parseForecast(body: unknown): Forecast {
  if (isRecord(body) && typeof body["service"] === "string") return body as unknown as Forecast;
  throw new MeshError("cli.forecast", "the server's answer is no forecast", { fault: "peer" });
}

function serviceNamed(
  text: string,
  namespace: string,
): { readonly namespace: string; readonly name: string } {
  const parts = text.split("/");
  const [first = "", second] = parts;
  const found =
    second === undefined ? { namespace, name: first } : { namespace: first, name: second };
  if (parts.length > 2 || !isName(found.namespace) || !isName(found.name)) {
    const message = `service "${text}": want NAME or NAMESPACE/NAME`;
    throw new MeshError("cli.usage", message, { fault: "user" });
  }
  return found;
}

function isName(text: string): boolean {
  return /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text);
}
