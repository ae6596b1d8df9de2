import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { renderText } from "./exposition.ts";
import { istioMetrics, requestLabels } from "./istio.ts";
import { MetricRegistry } from "./registry.ts";

describe("a registry", () => {
  test("renders what was counted, sorted, with escaped labels", () => {
    const registry = new MetricRegistry();
    const hits = registry.counter({
      name: "hits_total",
      help: "Hits.\nAll.",
      labels: ["path", "code"],
    });
    hits.with({ path: "/b", code: "200" }).add(2);
    hits.with({ path: '/a"\\\n' }).add(1);
    hits.with({ path: "/b", code: "200" }).add(1);
    const wait = registry.histogram({ name: "wait", help: "Waits.", labels: [], bounds: [1, 5] });
    for (const value of [0.5, 1, 3, 10]) wait.with().observe(value);
    const open = registry.gauge({ name: "open", help: "Open.", labels: [] });
    registry.onCollect(() => open.with().set(7));
    assert.equal(
      renderText(registry),
      [
        "# HELP hits_total Hits.\\nAll.",
        "# TYPE hits_total counter",
        'hits_total{path="/a\\"\\\\\\n",code=""} 1',
        'hits_total{path="/b",code="200"} 3',
        "# HELP open Open.",
        "# TYPE open gauge",
        "open 7",
        "# HELP wait Waits.",
        "# TYPE wait histogram",
        'wait_bucket{le="1"} 2',
        'wait_bucket{le="5"} 3',
        'wait_bucket{le="+Inf"} 4',
        "wait_sum 14.5",
        "wait_count 4",
        "",
      ].join("\n"),
    );
  });

  test("counts in one series what would be more than a family may hold", () => {
    const registry = new MetricRegistry();
    const family = registry.counter({ name: "x", help: "x", labels: ["who"], maxSeries: 2 });
    for (const who of ["a", "b", "c", "d", "a"]) family.with({ who }).add(1);
    assert.deepEqual(
      family.series().map(({ values, metric }) => [values[0], metric.value]),
      [
        ["a", 2],
        ["b", 1],
        ["overflow", 2],
      ],
    );
  });

  test("has one family per name, and refuses another kind under it", () => {
    const registry = new MetricRegistry();
    const options = { name: "x", help: "x", labels: [] };
    assert.equal(registry.counter(options), registry.counter(options));
    assert.throws(() => registry.gauge(options), /register x as gauge/);
  });
});

describe("Istio's metrics", () => {
  test("have the names and labels that dashboards ask for", () => {
    const { requestsTotal, requestDurationMilliseconds } = istioMetrics(new MetricRegistry());
    assert.equal(requestsTotal.name, "istio_requests_total");
    assert.equal(requestDurationMilliseconds.name, "istio_request_duration_milliseconds");
    assert.equal(new Set(requestLabels).size, 25);
  });
});
