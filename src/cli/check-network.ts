/**
 * `heddle check network`: the server has all nodes probe the paths between them; what is wrong is printed with the
 * pair, the evidence, and the command that helps.
 */

import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import { renderSpan } from "../core/network-check/connection-findings.ts";
import type { Finding, NetworkCheck } from "../model/network-check.ts";
import { apiError } from "../rpc/api-error.ts";
import type { HttpTransport } from "../rpc/http-transport.ts";

/** A forecast for later, or of a table that is as good as empty, says nothing that anybody acts on. */
const soonSeconds = 86_400;
const leastShare = 0.05;

export async function checkNetwork(transport: HttpTransport): Promise<NetworkCheck> {
  const answer = await transport.send({ method: "POST", path: "/heddle/v1/network-checks" });
  if (answer.code !== 200) throw apiError(answer);
  return parseCheck(answer.body);
}

/** The server made it from the same types. */
function parseCheck(body: unknown): NetworkCheck {
  if (isRecord(body) && Array.isArray(body["findings"]) && Array.isArray(body["nodes"])) {
    return body as unknown as NetworkCheck;
  }
  const message =
    "check the network: the server answered something else; is it of another version?";
  throw new MeshError("cli.answer", message, { fault: "peer" });
}

/** For eyes: findings, causes first, then what was looked at. */
export function renderNetworkCheck(check: NetworkCheck): string {
  return [
    ...check.findings.map(renderFinding),
    renderScope(check),
    ...check.unjudged.map((what) => `  not judged: ${what}`),
    ...renderConnections(check),
  ].join("\n");
}

function renderFinding({ kind, nodes, summary, evidence, fixes }: Finding): string {
  return [
    `✗ ${kind}  ${nodes.join(" → ")}`,
    `  ${summary}`,
    ...evidence.map((line) => `    ${line}`),
    ...fixes.map(({ node, command }) => `  on ${node}:  ${command}`),
    "",
  ].join("\n");
}

function renderScope({ nodes, probed, paths, tookMs, findings }: NetworkCheck): string {
  const where = nodes.length === 0 ? "no node" : nodes.join(", ");
  const what = `${paths} of ${probed} paths between nodes carry packets`;
  const end = findings.length === 0 ? "✓ nothing is wrong" : `${findings.length} found`;
  return `${end}: ${what}; ${where} took part, ${(tookMs / 1_000).toFixed(1)} s`;
}

function renderConnections({ connections }: NetworkCheck): readonly string[] {
  return connections.map((forecast) => {
    const { node, count, max, full } = forecast;
    const isGrowing =
      full?.late !== undefined && full.early < soonSeconds && count > leastShare * max;
    const trend = isGrowing ? `, full in ${renderSpan(forecast)} at the growth of now` : "";
    return `  ${node}: ${count} of ${max} tracked connections${trend}`;
  });
}
