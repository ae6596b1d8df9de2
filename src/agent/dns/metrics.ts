/** What the name server counts, under CoreDNS's names where it has one, so that people's dashboards find them. */

import type { Counter, Histogram, MetricRegistry } from "../../telemetry/registry.ts";
import { recordTypes, responseCodes } from "../../wire/dns/message.ts";

/** Who answered: the cluster's names, what was remembered of the outside, or the outside. */
export type AnsweredBy = "cluster" | "cache" | "upstream";

export interface DnsMetrics {
  /** One question that was answered; `seconds` from its arrival. */
  answered(type: number, responseCode: number, by: AnsweredBy, seconds: number): void;
}

const bounds = [0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.1, 0.5, 1, 2, 5];

export function dnsMetrics(registry: MetricRegistry): DnsMetrics {
  const requests = registry.counter({
    name: "coredns_dns_requests_total",
    help: "Questions asked, by type.",
    labels: ["type"],
  });
  const responses = registry.counter({
    name: "coredns_dns_responses_total",
    help: "Questions answered, by code and by who knew.",
    labels: ["rcode", "plugin"],
  });
  const durations = registry.histogram({
    name: "coredns_dns_request_duration_seconds",
    help: "From a question's arrival to its answer.",
    labels: ["plugin"],
    bounds,
  });
  const bound = new Map<string, { readonly count: Counter; readonly time: Histogram }>();
  return {
    answered(type, responseCode, by, seconds) {
      requests.with({ type: typeNames.get(type) ?? "other" }).add(1);
      const key = `${responseCode} ${by}`;
      let series = bound.get(key);
      if (series === undefined) {
        const rcode = codeNames.get(responseCode) ?? String(responseCode);
        series = {
          count: responses.with({ rcode, plugin: plugins[by] }),
          time: durations.with({ plugin: plugins[by] }),
        };
        bound.set(key, series);
      }
      series.count.add(1);
      series.time.observe(seconds);
    },
  };
}

const plugins: Readonly<Record<AnsweredBy, string>> = {
  cluster: "kubernetes",
  cache: "cache",
  upstream: "forward",
};

const typeNames = new Map<number, string>(
  Object.entries(recordTypes).map(([name, number]) => [number, name]),
);

const codeNames = new Map<number, string>([
  [responseCodes.noError, "NOERROR"],
  [responseCodes.formatError, "FORMERR"],
  [responseCodes.serverFailure, "SERVFAIL"],
  [responseCodes.nameError, "NXDOMAIN"],
  [responseCodes.notImplemented, "NOTIMP"],
  [responseCodes.refused, "REFUSED"],
]);
