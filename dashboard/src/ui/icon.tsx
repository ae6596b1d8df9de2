/** The dashboard's icons: line drawings on a grid of 16, in the colour of the text around them. */

import type { ReactElement } from "react";

const paths = {
  graph:
    "M3.5 8a1.8 1.8 0 1 0 0-.01M12.5 3.7a1.8 1.8 0 1 0 0-.01M12.5 12.3a1.8 1.8 0 1 0 0-.01M5.2 7.2 10.8 4.5M5.2 8.8l5.6 2.7",
  services: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
  nodes: "M8 2l5.5 3v6L8 14l-5.5-3V5zM2.5 5 8 8l5.5-3M8 8v6",
  forecast: "M2 13.5h12M2.5 11c5 0 6.5-1.5 8-8.5",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1.2v1.4M8 13.4v1.4M1.2 8h1.4M13.4 8h1.4M3.2 3.2l1 1M11.8 11.8l1 1M3.2 12.8l1-1M11.8 4.2l1-1",
  moon: "M13.2 9.8A5.6 5.6 0 0 1 6.2 2.8a5.6 5.6 0 1 0 7 7",
  auto: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 2v12M10 3.5v9M12 5v6",
  "sign-out": "M6 2.5H3v11h3M7 8h7M11 5l3 3-3 3",
  check: "M3 8.5 6.5 12 13 4.5",
  warning: "M8 2.2 14.5 13.5h-13zM8 6.5v3M8 11.5h.01",
  cross: "M4 4l8 8M12 4l-8 8",
  ban: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM3.8 3.8l8.4 8.4",
  idle: "M4 8h8",
  lock: "M4 7.2h8v6H4zM5.6 7V5.2a2.4 2.4 0 0 1 4.8 0V7",
  unlock: "M4 7.2h8v6H4zM5.6 7V5.2a2.4 2.4 0 0 1 4.6-1",
  arrow: "M3 8h10M9.5 4.5 13 8l-3.5 3.5",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  chevron: "M6 3.5 10.5 8 6 12.5",
  outside: "M4.5 12.5a3 3 0 0 1-.3-6 4 4 0 0 1 7.7 1 2.6 2.6 0 0 1-.4 5z",
  workload: "M3 3h10v10H3zM6 6h4v4H6z",
  cable: "M3 5v3a3 3 0 0 0 3 3h4a3 3 0 0 1 3 3M3 2v3M1.5 5h3",
} as const;

export type IconName = keyof typeof paths;

/** For eyes only, unless it has a label. */
export function Icon({
  name,
  label,
}: {
  readonly name: IconName;
  readonly label?: string;
}): ReactElement {
  const path = <path d={paths[name]} />;
  return label === undefined ? (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      {path}
    </svg>
  ) : (
    <svg className="icon" viewBox="0 0 16 16" role="img" aria-label={label}>
      <title>{label}</title>
      {path}
    </svg>
  );
}
