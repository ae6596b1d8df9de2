/**
 * What the pure layers may name of the platform besides the language: only what browsers and Node both have.
 *
 * Seen by `tsconfig.pure.json` alone; everywhere else Node's own types say the same and more.
 */

/** Passed through to whoever waits; the pure layers look at it and do nothing else. */
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
}
