/**
 * gRPC's status codes against HTTP's: what a call's outcome counts as where success is judged by HTTP statuses (edges,
 * outlier detection), and what one of our own answers is in gRPC.
 */

/** The codes of gRPC that there are. What else a peer writes is as good as none, and must not become a metric label. */
export function knownGrpcStatus(text: string | undefined): string {
  return text !== undefined && /^([0-9]|1[0-6])$/.test(text) ? text : "";
}

/** Index: gRPC's code. As google.rpc.Code says it. */
const httpStatuses = [
  200, // OK
  499, // CANCELLED
  500, // UNKNOWN
  400, // INVALID_ARGUMENT
  504, // DEADLINE_EXCEEDED
  404, // NOT_FOUND
  409, // ALREADY_EXISTS
  403, // PERMISSION_DENIED
  429, // RESOURCE_EXHAUSTED
  400, // FAILED_PRECONDITION
  409, // ABORTED
  400, // OUT_OF_RANGE
  501, // UNIMPLEMENTED
  500, // INTERNAL
  503, // UNAVAILABLE
  500, // DATA_LOSS
  401, // UNAUTHENTICATED
];

export function httpStatusOf(grpcStatus: string): number {
  return httpStatuses[Number(grpcStatus)] ?? 500;
}

/**
 * For the statuses that a proxy answers, as gRPC maps them; anything else is 2, UNKNOWN. But for 504: that map is for
 * clients that were told no status, and UNAVAILABLE would invite them to try again what has no time left. Envoy 1.40
 * says UNAVAILABLE; the called application says DEADLINE_EXCEEDED where it is first.
 */
const codes: Readonly<Record<number, string>> = {
  400: "13", // INTERNAL
  401: "16", // UNAUTHENTICATED
  403: "7", // PERMISSION_DENIED
  404: "12", // UNIMPLEMENTED
  429: "14", // UNAVAILABLE, as for the gateway errors
  502: "14",
  503: "14",
  504: "4", // DEADLINE_EXCEEDED
};

export function grpcStatusOf(status: number): string {
  return codes[status] ?? "2";
}
