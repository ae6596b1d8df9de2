/** Request bodies: bounded, and parsed by what the client says they are. */

import type { IncomingMessage } from "node:http";
import { parse } from "yaml";
import { MeshError, renderError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";

/** Kubernetes' own bound; no manifest comes near it, and a flood of bodies stays small. */
const maxBodyBytes = 3 * 1024 * 1024;

/** The media type without its parameters, e.g. `application/merge-patch+json`. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers["content-type"] ?? "application/json").split(";", 1)[0]?.trim() ?? "";
}

/** The body as a value; undefined where there is none. Throws `api.too-large`, `api.bad-request`. */
export async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) {
      throw new MeshError("api.too-large", `read a body: at most ${maxBodyBytes} bytes`, {
        fault: "user",
      });
    }
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  const text = Buffer.concat(chunks).toString("utf8");
  const type = mediaType(request);
  try {
    return type.endsWith("yaml") && !text.startsWith("{") ? parse(text) : JSON.parse(text);
  } catch (cause) {
    throw badRequest(`parse the body as ${type}: ${renderError(cause)}`);
  }
}

/** The body as an object; anything else is the client's mistake. */
export function recordBody(body: unknown): Readonly<Record<string, unknown>> {
  if (!isRecord(body)) throw badRequest("read a body: must be an object");
  return body;
}

export function badRequest(message: string): MeshError {
  return new MeshError("api.bad-request", message, { fault: "user" });
}
