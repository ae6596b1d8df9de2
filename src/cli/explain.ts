/**
 * `heddle explain SRC DST[:PORT]`: asks the server for the objects that have a say, walks the question through them
 * here, and prints the way: one line for each step, the verdict last.
 */

import { type Command, InvalidArgumentError, Option } from "commander";
import type { Resource } from "../api/resource.ts";
import { MeshError } from "../base/error.ts";
import { isIp } from "../base/ip.ts";
import { explain } from "../core/explain/explain.ts";
import type { Branch, Candidate, Explanation, Step, Verdict } from "../core/explain/explanation.ts";
import { percent, renderDecider, renderDifference } from "../core/explain/verdict.ts";
import { type World, worldOf } from "../core/registry/world.ts";
import type { ObjectClient } from "../rpc/object-client.ts";

export interface ExplainFlags {
  readonly namespace?: string;
  readonly method?: string;
  readonly path?: string;
  readonly header?: readonly string[];
  readonly tcp?: true;
  readonly output?: "json";
}

/** Adds arguments and options; how to reach the server is the caller's. */
export function explainCommand(command: Command): Command {
  return command
    .description("why a connection or request comes through, or what refuses it")
    .argument("<source>", "a pod, NAMESPACE/POD, or a Deployment or app: its first ready pod")
    .argument("<destination>", "a Service, NAMESPACE/NAME, a pod or an address; then :PORT")
    .option("-n, --namespace <namespace>", "the source's namespace")
    .option("--method <method>", "of the request")
    .option("--path <path>", "of the request")
    .option("--header <name:value...>", "of the request", collectHeader)
    .option("--tcp", "the application does not speak HTTP")
    .addOption(new Option("-o, --output <format>", "for programs").choices(["json"]));
}

/** The answer as it is printed. */
export async function explainAnswer(
  client: ObjectClient,
  source: string,
  destination: string,
  flags: ExplainFlags,
): Promise<string> {
  if (flags.tcp && (flags.method ?? flags.path ?? flags.header) !== undefined) {
    const message = "explain: want --tcp, or the --method, --path and --header of a request";
    throw new MeshError("cli.usage", message, { fault: "user" });
  }
  const explanation = explain(await fetchWorld(client), {
    source,
    ...parseDestination(destination),
    ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
    ...(flags.tcp ? { protocol: "tcp" } : {}),
    ...(flags.method === undefined ? {} : { method: flags.method.toUpperCase() }),
    ...(flags.path === undefined ? {} : { path: flags.path }),
    ...(flags.header === undefined ? {} : { headers: parseHeaders(flags.header) }),
  });
  return flags.output === "json"
    ? JSON.stringify(explanation, undefined, 2)
    : renderExplanation(explanation);
}

/** The kinds that have a say; the others are not fetched. */
const kinds = [
  "Namespace",
  "Network",
  "Node",
  "AddressBlock",
  "Pod",
  "Service",
  "EndpointSlice",
  "NetworkPolicy",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "DestinationRule",
  "VirtualService",
  "Gateway",
  "ServiceEntry",
  "WorkloadEntry",
];

/** The lists are taken one beside the other: while objects change, they need not be of one moment. */
export async function fetchWorld(client: ObjectClient): Promise<World> {
  const lists = await Promise.all(kinds.map((kind) => client.list<Resource>(kind)));
  return worldOf(lists.flatMap(({ objects }) => objects));
}

export function parseDestination(text: string): {
  readonly destination: string;
  readonly port?: number;
} {
  if (isIp(text)) return { destination: text }; // colons of IPv6 are no ports
  const colon = text.lastIndexOf(":");
  if (colon < 0 || text.endsWith("]")) return { destination: bare(text) };
  const port = Number(text.slice(colon + 1));
  if (!Number.isInteger(port) || port < 1 || port > 65_535 || colon === 0) {
    const message = `destination "${text}": want NAME or NAME:PORT with a port of 1..65535`;
    throw new MeshError("cli.usage", message, { fault: "user" });
  }
  return { destination: bare(text.slice(0, colon)), port };
}

/** `[fd00::1]` as URLs have it, without the brackets. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function collectHeader(text: string, before: readonly string[] = []): readonly string[] {
  if (!/^[^\s:]+:/.test(text)) throw new InvalidArgumentError(`want NAME:VALUE, got "${text}"`);
  return [...before, text];
}

function parseHeaders(written: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    written.map((text) => {
      const colon = text.indexOf(":");
      return [text.slice(0, colon), text.slice(colon + 1).trim()];
    }),
  );
}

/** For eyes: steps in their order, indented below the endpoints that they are about. */
export function renderExplanation(explanation: Explanation): string {
  const { source, destination, port, protocol, request, steps, branches, verdict } = explanation;
  const what = request === undefined ? protocol : `${request.method} ${request.path}`;
  const lines = [`${source} → ${destination}:${port}  ${what}`, "", ...steps.flatMap(renderStep)];
  for (const branch of branches) lines.push(...renderBranch(branch, branches.length > 1));
  return [...lines, "", ...renderVerdict(verdict)].join("\n");
}

function renderBranch({ share, candidates, steps, verdict }: Branch, isOne: boolean): string[] {
  const split = steps.findIndex(({ step }) => step === "egress policy");
  const way = split < 0 ? steps : steps.slice(0, split);
  const arrival = split < 0 ? [] : steps.slice(split);
  const share_ = isOne ? [`── ${percent(share)}`] : [];
  const end = isOne ? renderVerdict(verdict).map((line) => `  ${line}`) : [];
  return [
    ...share_,
    ...way.flatMap(renderStep),
    ...candidates.map((candidate) => `  → ${renderCandidate(candidate)}`),
    ...arrival.flatMap(renderStep),
    ...end,
  ];
}

const stepWidth = "peer authentication".length;

function renderStep({ step, outcome, by, detail }: Step): string[] {
  const mark = outcome === "pass" ? "✓" : "✗";
  const first = `${mark} ${step.padEnd(stepWidth)}  ${detail}`;
  return [first, ...by.map((each) => `  ${"".padEnd(stepWidth)}    by ${renderDecider(each)}`)];
}

function renderCandidate({ address, port, pod, node, mtls }: Candidate): string {
  const where = `${address}:${port}`;
  const how = mtls ? "mesh TLS" : "plain";
  return pod === undefined
    ? `${where}, ${how}`
    : `${pod}  ${where}${node === undefined ? "" : ` on ${node}`}, ${how}`;
}

function renderVerdict(verdict: Verdict): string[] {
  switch (verdict.outcome) {
    case "allowed":
      return ["✓ allowed"];
    case "answered":
      return [`✓ answered by the source's own sidecar: ${verdict.sentence}`];
    case "mixed":
      return [`✗ it depends on the endpoint: ${verdict.sentence}`];
    case "refused": {
      const { nearest, sentence } = verdict;
      const last = `✗ refused, ${sentence}`;
      if (nearest === undefined) return [last];
      const [first, ...others] = nearest.differences;
      if (first === undefined) return [last];
      return [
        `nearest: ${renderDecider(nearest.rule)}, but for`,
        ...[first, ...others].map((each) => `  ${renderDifference(each)}`),
        last,
      ];
    }
  }
}
