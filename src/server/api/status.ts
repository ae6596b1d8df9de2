/** Errors as Kubernetes Status objects: what clients show, and the fields that programs read. */

import { MeshError, renderError } from "../../base/error.ts";
import { InvalidObject } from "./invalid.ts";

export interface Status {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: Record<string, never>;
  readonly status: "Failure" | "Success";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: unknown;
  readonly code: number;
}

/** HTTP code and Kubernetes reason of each error that the API answers on purpose. */
const answers: Readonly<Record<string, readonly [number, string]>> = {
  "api.absent": [404, "NotFound"],
  "api.bad-request": [400, "BadRequest"],
  "api.conflict": [409, "Conflict"],
  "api.forbidden": [403, "Forbidden"],
  "api.invalid": [422, "Invalid"],
  "api.media-type": [415, "UnsupportedMediaType"],
  "api.method": [405, "MethodNotAllowed"],
  "api.service-addresses-exhausted": [422, "Invalid"],
  "api.timeout": [504, "Timeout"],
  "api.too-large": [413, "RequestEntityTooLarge"],
  "api.too-many-attempts": [429, "TooManyRequests"],
  "api.unauthorized": [401, "Unauthorized"],
  "observation.nodes": [429, "TooManyRequests"],
  "observation.streams": [429, "TooManyRequests"],
  "observation.taps": [429, "TooManyRequests"],
  "store.absent": [404, "NotFound"],
  "store.conflict": [409, "Conflict"],
  "store.exists": [409, "AlreadyExists"],
  "store.expired": [410, "Expired"],
  "store.unavailable": [503, "ServiceUnavailable"],
};

export function statusOf(error: unknown): Status {
  const [code, reason] = (error instanceof MeshError ? answers[error.code] : undefined) ?? [
    500,
    "InternalError",
  ];
  const causes =
    error instanceof InvalidObject
      ? error.issues.map(({ path, message, severity }) => ({
          reason: severity === "error" ? "FieldValueInvalid" : "FieldValueWarning",
          message,
          field: path,
        }))
      : undefined;
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: renderError(error),
    reason,
    ...(causes && { details: { causes } }),
    code,
  };
}

export function success(code: number): Status {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code };
}
