/**
 * Waits until a change is in force: every connected agent and sidecar has taken (or refused) it.
 *
 * The server knows who is connected and what each has acknowledged; asking it is one request that answers when it is so.
 */

import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import type { HttpTransport } from "../rpc/http-transport.ts";

const timeoutMs = 10_000;

/** `version`: of the change; undefined: whatever the newest is. Throws `cli.converge` when it takes too long. */
export async function untilConverged(
  transport: HttpTransport,
  version: number | undefined,
): Promise<void> {
  const query = new URLSearchParams({ timeoutMs: String(timeoutMs) });
  if (version !== undefined) query.set("resourceVersion", String(version));
  const answer = await transport.send({
    method: "GET",
    path: `/heddle/v1/converged?${query}`,
  });
  const converged = isRecord(answer.body) && answer.body["converged"] === true;
  if (answer.code === 200 && converged) return;
  throw new MeshError(
    "cli.converge",
    answer.code === 200
      ? `after ${timeoutMs / 1000} s not every agent and sidecar has taken the change`
      : `wait for the change to be in force: the server answered ${answer.code}`,
    { retryable: true },
  );
}
