/**
 * The one error type that crosses layers.
 *
 * A message says what was being done and to what; the cause says what went wrong; `code`, `fault` and `retryable`
 * are fields, so that no caller ever parses a message. `render` walks the chain of causes into one line for people.
 */

/** Whose doing a failure is: what the user wrote, the machine it runs on, the peer at the other end, or Heddle. */
export type Fault = "user" | "host" | "peer" | "heddle";

export interface MeshErrorOptions {
  readonly cause?: unknown;
  readonly fault?: Fault;
  /** True where the same call may succeed later without anybody changing anything. */
  readonly retryable?: boolean;
}

export class MeshError extends Error {
  /** Stable and dotted, e.g. `kernel.link.exists`; listed in docs/reference/errors.md. */
  readonly code: string;
  readonly fault: Fault;
  readonly retryable: boolean;

  constructor(code: string, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MeshError";
    this.code = code;
    this.fault = options.fault ?? "heddle";
    this.retryable = options.retryable ?? false;
  }
}

/** Renders an error and its causes as `outermost: …: innermost`, without stack traces. */
export function renderError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  while (current !== undefined && current !== null && parts.length < 16) {
    if (current instanceof AggregateError && current.errors.length > 0) {
      parts.push(`${current.message}: ${current.errors.map(renderError).join("; ")}`);
      break;
    }
    parts.push(current instanceof Error ? current.message : String(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.filter((part) => part !== "").join(": ");
}

/** Ends an exhaustive switch: the compiler refuses a variant that was forgotten. */
export function unreachable(value: never): never {
  throw new MeshError("heddle.unreachable", `unexpected variant ${JSON.stringify(value)}`);
}

/** Names an assumption that the types cannot carry; throws with `what` where it does not hold. */
export function present<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) {
    throw new MeshError("heddle.assumption", `${what} is missing`);
  }
  return value;
}
