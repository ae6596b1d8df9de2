/** `%START_TIME(…)%`: a moment by strftime's letters, in UTC, with Envoy's `%f` for parts of a second. */

const pad = (value: number, width = 2): string => String(value).padStart(width, "0");

const letters: Readonly<Record<string, (time: Date) => string>> = {
  Y: (time) => String(time.getUTCFullYear()),
  y: (time) => pad(time.getUTCFullYear() % 100),
  m: (time) => pad(time.getUTCMonth() + 1),
  d: (time) => pad(time.getUTCDate()),
  H: (time) => pad(time.getUTCHours()),
  M: (time) => pad(time.getUTCMinutes()),
  S: (time) => pad(time.getUTCSeconds()),
  s: (time) => String(Math.floor(time.getTime() / 1000)),
  F: (time) => time.toISOString().slice(0, 10),
  T: (time) => time.toISOString().slice(11, 19),
  z: () => "+0000",
  Z: () => "UTC",
  "%": () => "%",
};

/** `%3f` is milliseconds; nine digits without a number. Other letters stay as they are written. */
export function formatTime(format: string, epochMs: number): string {
  const time = new Date(epochMs);
  return format.replace(/%([1-9]?)f|%([A-Za-z%])/g, (written, digits?: string, letter = "") => {
    if (digits !== undefined)
      return pad(time.getUTCMilliseconds(), 3)
        .padEnd(9, "0")
        .slice(0, Number(digits || 9));
    return Object.hasOwn(letters, letter) ? (letters[letter]?.(time) ?? written) : written;
  });
}
