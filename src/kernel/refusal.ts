/**
 * Turns what the kernel refuses into MeshErrors: `kernel.<object>.<reason>`, said with what was being done.
 *
 * The reasons are few and stable: they are what callers can act on. errno and the kernel's own words stay in the cause.
 */

import { MeshError } from "../base/error.ts";
import {
  EADDRNOTAVAIL,
  EBUSY,
  EEXIST,
  EINVAL,
  ENOBUFS,
  ENODEV,
  ENOENT,
  EOPNOTSUPP,
  ESRCH,
  SystemCallError,
} from "./ffi.ts";

export type KernelObject =
  | "link"
  | "address"
  | "route"
  | "rule"
  | "neighbour"
  | "forwarding"
  | "connection"
  | "queue";

const EPERM = 1;

/**
 * Runs `action` and returns what it returns; a refusal becomes a MeshError that says `description`, or undefined where
 * its errno is among `fine`.
 */
export function doing<T>(
  object: KernelObject,
  description: string,
  action: () => T,
  fine: readonly number[] = [],
): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    if (fine.includes(error.errno)) return undefined;
    throw refusal(object, description, error);
  }
}

export function refusal(
  object: KernelObject,
  description: string,
  cause: SystemCallError,
): MeshError {
  return new MeshError(`kernel.${object}.${reasonOf(cause.errno)}`, description, {
    cause,
    fault: "host",
    retryable: cause.errno === EBUSY || cause.errno === ENOBUFS,
  });
}

/** What "it is not there" looks like for links, addresses, routes, neighbours and connections. */
export const absent: readonly number[] = [ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL];

function reasonOf(errno: number): string {
  if (absent.includes(errno)) return "absent";
  switch (errno) {
    case EEXIST:
      return "exists";
    case EPERM:
      return "denied";
    case EINVAL:
      return "invalid";
    case EOPNOTSUPP:
      return "unsupported";
    case EBUSY:
      return "busy";
    default:
      return "refused";
  }
}
