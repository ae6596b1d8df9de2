/**
 * `heddle top`: live traffic as a table that is drawn again each second, until Ctrl-C.
 *
 * Elsewhere than on a terminal a table is printed every few seconds; `--once` prints one, `-o json` the view itself,
 * one a line. A server that is away is waited for: whoever looks at a restart wants to see its end.
 */

import { setTimeout as delay } from "node:timers/promises";
import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { MeshError, renderError } from "../../base/error.ts";
import type { PodsView, TrafficGraph } from "../../model/observation.ts";
import type { HttpTransport } from "../../rpc/http-transport.ts";
import { Screen, type Terminal } from "../screen.ts";
import { edgesTable, podsTable, servicesTable } from "./tables.ts";
import { fetchGraph, fetchPods } from "./views.ts";

export const topics = ["services", "pods", "edges"] as const;
export type Topic = (typeof topics)[number];

export interface TopFlags {
  readonly namespace?: string;
  readonly once?: true;
  readonly seconds: number;
  readonly output?: "json";
}

const everyMs = 1_000;
const plainEveryMs = 5_000;

/** Adds arguments and options; how to reach the server is the caller's. */
export function topCommand(command: Command): Command {
  return command
    .description("live traffic: rate, success and latency of services, pods or edges")
    .addArgument(
      new Argument("[what]", "what to show").choices(topics).default("services" satisfies Topic),
    )
    .option("-n, --namespace <namespace>", "only what has an end in this namespace")
    .option("--seconds <seconds>", "rates over so long", parseSeconds, 10)
    .option("--once", "print it once")
    .addOption(new Option("-o, --output <format>", "for programs").choices(["json"]));
}

export function parseTopic(word: string): Topic {
  const topic = topics.find((each) => each === word);
  if (topic !== undefined) return topic;
  throw new MeshError("cli.usage", `top: want one of ${topics.join(", ")}, got "${word}"`, {
    fault: "user",
  });
}

/** Shows the topic until aborted; `footer` stands below the table. */
export async function showTop(
  transport: HttpTransport,
  topic: Topic,
  flags: TopFlags,
  { terminal, footer, signal }: { terminal: Terminal; footer?: string; signal: AbortSignal },
): Promise<void> {
  const screen = new Screen(terminal);
  const isJson = flags.output === "json";
  const below = footer === undefined || !terminal.isTty ? [] : ["", footer];
  while (!signal.aborted) {
    const shown = await view(transport, topic, flags).catch((error: unknown) => {
      const isAway = error instanceof MeshError && error.code === "api.unreachable";
      if (flags.once || isJson || !isAway) throw error;
      return renderError(error);
    });
    if (signal.aborted) return;
    if (typeof shown === "string") screen.draw([shown, ...below]);
    else if (isJson) terminal.write(`${JSON.stringify(shown)}\n`);
    else if (flags.once) terminal.write(`${table(topic, shown).join("\n")}\n`);
    else screen.draw([...table(topic, shown), ...below]);
    if (flags.once) return;
    const wait = terminal.isTty || isJson ? everyMs : plainEveryMs;
    await delay(wait, undefined, { signal }).catch(() => undefined);
  }
}

type View = TrafficGraph | PodsView;

async function view(transport: HttpTransport, topic: Topic, flags: TopFlags): Promise<View> {
  const { namespace } = flags;
  const isWanted = (id: string) => namespace === undefined || id.startsWith(`${namespace}/`);
  if (topic === "pods") {
    const found = await fetchPods(transport, flags.seconds);
    return { ...found, pods: found.pods.filter(({ pod }) => isWanted(pod)) };
  }
  const graph = await fetchGraph(transport, flags.seconds);
  return {
    ...graph,
    nodes: graph.nodes.filter(({ id }) => isWanted(id)),
    edges: graph.edges.filter(
      ({ source, destination }) => isWanted(source) || isWanted(destination),
    ),
  };
}

function table(topic: Topic, shown: View): readonly string[] {
  if ("pods" in shown) return podsTable(shown);
  return topic === "edges" ? edgesTable(shown.edges) : servicesTable(shown);
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= 3_600) return seconds;
  throw new InvalidArgumentError("want a whole number from 1 to 3600");
}
