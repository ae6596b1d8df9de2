/** Numbers for people: three digits at most, a unit, and a dash for what is not known. */

export const unknown = "–";

export function formatNumber(value: number | undefined): string {
  if (value === undefined) return unknown;
  const size = Math.abs(value);
  if (size >= 1_000_000) return `${trim(value / 1_000_000)}M`;
  if (size >= 10_000) return `${trim(value / 1_000)}k`;
  if (size >= 100) return String(Math.round(value));
  return trim(value);
}

export function formatRate(perSecond: number | undefined, unit = "req/s"): string {
  if (perSecond === undefined) return unknown;
  const number = perSecond > 0 && perSecond < 0.05 ? "<0.1" : formatNumber(perSecond);
  return unit.startsWith("/") ? `${number}${unit}` : `${number} ${unit}`;
}

export function formatMs(ms: number | undefined): string {
  if (ms === undefined) return unknown;
  if (ms >= 60_000) return `${trim(ms / 60_000)} min`;
  if (ms >= 1_000) return `${trim(ms / 1_000)} s`;
  if (ms >= 10) return `${Math.round(ms)} ms`;
  return `${trim(ms)} ms`;
}

/** Two times of one sort, the unit said once where it is the same: `4.1 / 30 ms`. */
export function formatPair(a: number | undefined, b: number | undefined): string {
  const [first, second] = [formatMs(a), formatMs(b)];
  const [number = "", unit] = first.split(" ");
  return unit === second.split(" ")[1] ? `${number} / ${second}` : `${first} / ${second}`;
}

/** Never says 100 % of what is not all, nor 0 % of what is something. */
export function formatShare(share: number | undefined): string {
  if (share === undefined) return unknown;
  const percent = share * 100;
  if (percent > 99.9 && percent < 100) return ">99.9%";
  if (percent > 0 && percent < 0.1) return "<0.1%";
  return percent === 0 || percent >= 10
    ? `${percent.toFixed(percent > 99 && percent < 100 ? 1 : 0)}%`
    : `${percent.toFixed(1)}%`;
}

export function formatAge(ms: number): string {
  if (ms < 1_500) return "now";
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

export function formatTime(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour12: false });
}

export function plural(count: number, one: string, many: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function trim(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 1 : 2;
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
