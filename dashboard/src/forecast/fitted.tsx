/** What was fitted from live traffic: the numbers behind all others of the page. */

import type { ReactElement } from "react";
import type { FittedService } from "../../../src/model/forecast.ts";
import { formatMs, formatNumber, formatRate, formatShare } from "../format.ts";
import { Section } from "../ui/section.tsx";

export function Fitted({ fitted }: { readonly fitted: FittedService }): ReactElement {
  const facts: readonly (readonly [string, string])[] = [
    ["Model", fitted.model],
    ["Replicas", formatNumber(fitted.replicas)],
    ["Requests at a time, each", formatNumber(fitted.workers)],
    ["Load", formatRate(fitted.requestsPerSecond)],
    ["Service time", formatMs(fitted.serviceMs)],
    ["Variability of service (SCV)", formatNumber(fitted.serviceScv)],
    ["Variability of arrivals (SCV)", formatNumber(fitted.arrivalScv)],
    ["Overhead", formatMs(fitted.overheadMs)],
    ["Utilisation", formatShare(fitted.utilisation)],
  ];
  return (
    <Section
      title="Fitted from live traffic"
      note={`${formatNumber(fitted.requests)} requests in ${formatNumber(fitted.windowSeconds)} s`}
    >
      <dl className="facts section-body">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </Section>
  );
}
