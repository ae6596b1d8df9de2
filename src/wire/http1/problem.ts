/**
 * Everything that can be wrong with a message, and the status a server answers it with.
 *
 * A client that reads a broken response has nobody to answer; it takes the same names for its log and sends 502 on.
 */

export type HttpProblem =
  | "bad-start-line"
  | "bad-method"
  | "bad-target"
  | "bad-version"
  | "unsupported-version"
  | "bad-status"
  | "bad-field-name"
  | "bad-field-value"
  | "space-before-colon"
  | "folded-line"
  | "bare-cr"
  | "bare-lf"
  | "head-too-large"
  | "target-too-long"
  | "too-many-fields"
  | "bad-content-length"
  | "repeated-content-length"
  | "length-and-chunked"
  | "bad-transfer-encoding"
  | "unknown-transfer-encoding"
  | "missing-host"
  | "repeated-host"
  | "bad-host"
  | "unknown-expectation"
  | "bad-chunk"
  | "chunk-extension-too-long"
  | "trailers-too-large"
  | "bad-trailer"
  | "forbidden-trailer";

/** What a server answers to a request with this problem. */
export function statusOf(problem: HttpProblem): number {
  switch (problem) {
    case "head-too-large":
    case "too-many-fields":
      return 431;
    case "target-too-long":
      return 414;
    case "unsupported-version":
      return 505;
    case "unknown-expectation":
      return 417;
    case "unknown-transfer-encoding":
      return 501;
    default:
      return 400;
  }
}
