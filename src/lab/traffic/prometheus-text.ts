/**
 * Reads the Prometheus text exposition format, as far as the lab's table needs it: samples with labels and values.
 *
 * Comments, types and timestamps are passed over; a line that does not parse is not a sample. Names are filtered
 * while reading, because a sidecar exposes far more series than the table shows.
 */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The samples whose metric name `wanted` accepts, in the order of the text. */
export function parsePrometheus(text: string, wanted: (name: string) => boolean): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const name = /^[a-zA-Z_:][\w:]*/.exec(line)?.[0];
    if (name === undefined || !wanted(name)) continue;
    const sample = parseSample(name, line.slice(name.length));
    if (sample !== undefined) samples.push(sample);
  }
  return samples;
}

function parseSample(name: string, rest: string): Sample | undefined {
  const labels: Record<string, string> = {};
  let position = 0;
  if (rest[0] === "{") {
    position = 1;
    const label = /\s*([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"\s*,?\s*/y;
    while (rest[position] !== "}") {
      label.lastIndex = position;
      const found = label.exec(rest);
      if (found?.[1] === undefined || found[2] === undefined) return undefined;
      labels[found[1]] = found[2].replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
      position = label.lastIndex;
    }
    position++;
  }
  const text = rest.slice(position).trim().split(/\s+/)[0] ?? "";
  const value = text === "+Inf" ? Number.POSITIVE_INFINITY : Number(text);
  return text === "" || Number.isNaN(value) ? undefined : { name, labels, value };
}
