/** `GET /heddle/v1/forecast/NAMESPACE/NAME?rps=x2|40&replicas=N`: a Forecast, for the administrator. */

import { MeshError } from "../../base/error.ts";
import { parseLoad, parseReplicas, type Question } from "../../core/forecast/question.ts";
import { badRequest } from "../api/body.ts";
import type { ExtensionRequest } from "../api/handler.ts";
import type { Answer } from "../api/write.ts";
import type { Forecasts } from "./forecasts.ts";

/** Undefined where the path is not this one. */
export function forecastPath(
  forecasts: Forecasts,
  { method, pathname, query }: ExtensionRequest,
): Answer | undefined {
  const [, namespace, name] = /^\/heddle\/v1\/forecast\/([^/]+)\/([^/]+)$/.exec(pathname) ?? [];
  if (method !== "GET" || namespace === undefined || name === undefined) return undefined;
  const body = forecasts.of(namespace, name, questionOf(query));
  if (body !== undefined) return { code: 200, body };
  throw new MeshError("api.absent", `there is no Service ${namespace}/${name}`, { fault: "user" });
}

function questionOf(query: URLSearchParams): Question {
  const rps = query.get("rps");
  const replicas = query.get("replicas");
  try {
    return {
      ...(rps === null ? {} : { load: parseLoad(rps) }),
      ...(replicas === null ? {} : { replicas: parseReplicas(replicas) }),
    };
  } catch (error) {
    if (error instanceof MeshError && error.code.startsWith("forecast."))
      throw badRequest(error.message);
    throw error;
  }
}
