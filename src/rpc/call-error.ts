/** What a failed call of gRPC means, whoever made it. */

import { MeshError } from "../base/error.ts";

/** `name` is the status in lower case, with hyphens; the code becomes `rpc.<name>`. `words` are the peer's. */
export function failedCall(doing: string, name: string, words: string): MeshError {
  return new MeshError(`rpc.${name}`, `${doing}: ${words}`, {
    fault: "peer",
    retryable: !refusals.has(name),
  });
}

/** Answers that the same call would get again. */
const refusals: ReadonlySet<string> = new Set([
  "invalid-argument",
  "permission-denied",
  "unauthenticated",
  "unimplemented",
]);
