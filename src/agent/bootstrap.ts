/**
 * The bootstrap document: what a node is given once to find its server and to prove who it is.
 *
 * `heddle server` answers it on its admin socket; the agent reads it at start and never writes it.
 */

import { readFileSync } from "node:fs";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import { Secret } from "../base/secret.ts";

export interface Bootstrap {
  readonly node: string;
  /** `https://host:port` of the Kubernetes API. */
  readonly api: string;
  /** `host:port` of the configuration stream. */
  readonly xds: string;
  readonly token: Secret<string>;
  /** PEM of the authorities that both endpoints are verified against. */
  readonly roots: string;
}

/** Reads and checks the document; throws MeshError `agent.bootstrap.invalid` naming file and field. */
export function readBootstrap(path: string, node: string): Bootstrap {
  const bootstrap = parseBootstrap(readText(path), path);
  if (bootstrap.node !== node) {
    throw invalid(path, `node: is for "${bootstrap.node}", this node is "${node}"`);
  }
  return bootstrap;
}

function parseBootstrap(text: string, path: string): Bootstrap {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, "want JSON", cause);
  }
  if (!isRecord(value)) throw invalid(path, "want a JSON object");
  const fields = value;
  const field = (name: string): string => {
    const found = fields[name];
    if (typeof found === "string" && found !== "") return found;
    throw invalid(path, `${name}: want a text, got ${JSON.stringify(found) ?? "nothing"}`);
  };
  return {
    node: field("node"),
    api: field("api"),
    xds: field("xds"),
    token: new Secret(field("token")),
    roots: field("roots"),
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new MeshError("agent.bootstrap.unreadable", `read bootstrap document ${path}`, {
      cause,
      fault: "user",
    });
  }
}

function invalid(path: string, what: string, cause?: unknown): MeshError {
  return new MeshError("agent.bootstrap.invalid", `read bootstrap document ${path}: ${what}`, {
    cause,
    fault: "user",
  });
}
