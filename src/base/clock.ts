/**
 * Time as a parameter.
 *
 * Shells pass `systemClock`; tests pass a clock that they move by hand. Milliseconds throughout.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
