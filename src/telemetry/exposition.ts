/** The Prometheus text format, version 0.0.4. */

import type { Family, Histogram, MetricRegistry } from "./registry.ts";

export const textContentType = "text/plain; version=0.0.4; charset=utf-8";

/** Everything in the registry as Prometheus scrapes it, sorted by name and labels. */
export function renderText(registry: MetricRegistry): string {
  const lines: string[] = [];
  for (const entry of registry.collect()) {
    const { family } = entry;
    const series = family.series();
    if (series.length === 0) continue;
    lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`);
    lines.push(`# TYPE ${family.name} ${family.kind}`);
    if (entry.kind === "histogram") renderHistograms(entry.family, lines);
    else {
      for (const { values, metric } of entry.family.series()) {
        lines.push(`${family.name}${braces(pairs(family.labels, values))} ${number(metric.value)}`);
      }
    }
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function renderHistograms(family: Family<Histogram>, lines: string[]): void {
  for (const { values, metric } of family.series()) {
    const labels = pairs(family.labels, values);
    let cumulative = 0;
    for (let i = 0; i < metric.counts.length; i++) {
      cumulative += metric.counts[i] ?? 0;
      const bound = i < metric.bounds.length ? number(metric.bounds[i] ?? 0) : "+Inf";
      lines.push(`${family.name}_bucket${braces([...labels, `le="${bound}"`])} ${cumulative}`);
    }
    lines.push(`${family.name}_sum${braces(labels)} ${number(metric.sum)}`);
    lines.push(`${family.name}_count${braces(labels)} ${cumulative}`);
  }
}

function pairs(names: readonly string[], values: readonly string[]): readonly string[] {
  return names.map((name, index) => `${name}="${escapeValue(values[index] ?? "")}"`);
}

function braces(labels: readonly string[]): string {
  return labels.length === 0 ? "" : `{${labels.join(",")}}`;
}

function escapeValue(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function escapeHelp(help: string): string {
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}
