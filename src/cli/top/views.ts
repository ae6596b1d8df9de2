/** Asks the server for views of live traffic. */

import { MeshError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";
import type { PodsView, TrafficGraph } from "../../model/observation.ts";
import { apiError } from "../../rpc/api-error.ts";
import type { HttpTransport } from "../../rpc/http-transport.ts";

export async function fetchGraph(transport: HttpTransport, seconds: number): Promise<TrafficGraph> {
  return parseGraph(await fetchView(transport, `/heddle/v1/graph?seconds=${seconds}`));
}

export async function fetchPods(transport: HttpTransport, seconds: number): Promise<PodsView> {
  return parsePods(await fetchView(transport, `/heddle/v1/pods?seconds=${seconds}`));
}

async function fetchView(transport: HttpTransport, path: string): Promise<unknown> {
  const answer = await transport.send({ method: "GET", path });
  if (answer.code !== 200) throw apiError(answer);
  return answer.body;
}

// The server made it from the same types; what is checked is that it is one, of a version that has such a view.

function parseGraph(body: unknown): TrafficGraph {
  if (isRecord(body) && Array.isArray(body["nodes"]) && Array.isArray(body["edges"])) {
    return body as unknown as TrafficGraph;
  }
  throw unexpected("a traffic graph");
}

function parsePods(body: unknown): PodsView {
  if (isRecord(body) && Array.isArray(body["pods"])) return body as unknown as PodsView;
  throw unexpected("a view of pods");
}

function unexpected(what: string): MeshError {
  const message = `read ${what}: the server answered something else; is it of another version?`;
  return new MeshError("cli.answer", message, { fault: "peer" });
}
