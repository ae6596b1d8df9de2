/** The server's refusals as errors: its message as it is, and a code that says what a program can do about it. */

import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import type { TransportResponse } from "./http-transport.ts";

/** Kubernetes' reasons to codes of our own; what is not listed is `api.failed`. */
const codes: Readonly<Record<string, string>> = {
  AlreadyExists: "api.exists",
  BadRequest: "api.bad-request",
  Conflict: "api.conflict",
  Expired: "api.expired",
  Forbidden: "api.forbidden",
  Gone: "api.expired",
  Invalid: "api.invalid",
  NotFound: "api.absent",
  Unauthorized: "api.unauthorized",
};

/** One field of a refused object. */
export interface FieldCause {
  readonly field: string;
  readonly message: string;
}

/** A refusal by the server; `causes` names the fields of a refused object. */
export class ApiError extends MeshError {
  readonly causes: readonly FieldCause[];

  constructor(code: string, message: string, causes: readonly FieldCause[], retryable: boolean) {
    super(code, message, { fault: code === "api.failed" ? "peer" : "user", retryable });
    this.causes = causes;
  }
}

export function apiError(response: TransportResponse): ApiError {
  return statusError(response.body, response.code);
}

/** The error in a Status object, such as an ERROR event of a watch carries. */
export function statusError(status: unknown, code = 0): ApiError {
  const fields = isRecord(status) ? status : {};
  const reason = String(fields["reason"] ?? "");
  const details = isRecord(fields["details"]) ? fields["details"] : {};
  const causes = Array.isArray(details["causes"]) ? details["causes"].filter(isRecord) : [];
  const number = Number(fields["code"] ?? code);
  return new ApiError(
    codes[reason] ?? "api.failed",
    String(fields["message"] ?? `the server answered ${number}`),
    causes.map((cause) => ({
      field: String(cause["field"] ?? ""),
      message: String(cause["message"] ?? ""),
    })),
    // A conflict is over once the object has been read again.
    number >= 500 || number === 429 || reason === "Conflict",
  );
}
