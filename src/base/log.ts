/**
 * Log events: one line of JSON per state change, a verb phrase and fields.
 *
 * The interface only; shells choose where lines go. `debug` explains decisions, `info` reports changes, `warn` says
 * degraded but going on, `error` needs a human.
 */

export type LogFields = Readonly<Record<string, unknown>>;
export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A log that adds fields to every line. */
  with(fields: LogFields): Log;
}

export const logLevels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** The least level that is written; may change while a process runs, for all logs that were made with it. */
export interface LogThreshold {
  least: LogLevel;
}

/** A log that hands complete lines to `write`. `now` gives milliseconds since the epoch. */
export function createLog(
  write: (line: string) => void,
  now: () => number,
  least: LogLevel | LogThreshold = "info",
  base: LogFields = {},
): Log {
  const threshold = typeof least === "string" ? { least } : least;
  const at =
    (level: LogLevel) =>
    (event: string, fields: LogFields = {}) => {
      if (logLevels.indexOf(level) < logLevels.indexOf(threshold.least)) return;
      // biome-ignore lint/style/noRestrictedGlobals: only its text form; which moment it is, says `now`.
      const time = new Date(now()).toISOString();
      write(JSON.stringify({ time, level, event, ...base, ...fields }));
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => createLog(write, now, threshold, { ...base, ...fields }),
  };
}
