/** The way from sidecars' counters to the table that people read. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { quantile } from "../../core/queueing/histogram.ts";
import { Counters, edgesOf } from "./edges.ts";
import { parsePrometheus } from "./prometheus-text.ts";
import { renderEdges } from "./table.ts";

describe("a quantile of a histogram", () => {
  const buckets = [
    { upTo: 1, count: 10 },
    { upTo: 5, count: 90 },
    { upTo: 10, count: 100 },
    { upTo: Number.POSITIVE_INFINITY, count: 100 },
  ];

  test("lies in its bucket in proportion to its rank", () => {
    assert.equal(quantile(0.5, buckets), 1 + 4 * (40 / 80));
    assert.equal(quantile(0.95, buckets), 7.5);
    assert.equal(quantile(0.1, buckets), 1);
  });

  test("is the last bound when it lies beyond it", () => {
    const beyond = [
      { upTo: 1, count: 1 },
      { upTo: Number.POSITIVE_INFINITY, count: 100 },
    ];
    assert.equal(quantile(0.99, beyond), 1);
  });

  test("of nothing is unknown", () => {
    assert.equal(quantile(0.5, []), undefined);
    assert.equal(quantile(0.5, [{ upTo: 1, count: 0 }]), undefined);
  });
});

describe("the text of a sidecar's metrics", () => {
  test("gives labels, escapes and values, and only of wanted names", () => {
    const text = [
      "# TYPE a_total counter",
      'a_total{code="200",path="C:\\\\x \\"y\\", z"} 3 1700000000',
      "b_total 4",
      "a_total 1e3",
      'a_total{broken="} 5',
      "",
    ].join("\n");
    assert.deepEqual(
      parsePrometheus(text, (name) => name === "a_total"),
      [
        { name: "a_total", labels: { code: "200", path: 'C:\\x "y", z' }, value: 3 },
        { name: "a_total", labels: {}, value: 1000 },
      ],
    );
  });
});

function requests(
  reporter: "source" | "destination",
  count: number,
  more: Record<string, string> = {},
) {
  const labels = {
    reporter,
    source_workload: "web",
    source_workload_namespace: "shop",
    destination_workload: "catalogue-v1",
    destination_principal: "spiffe://cluster.local/ns/shop/sa/catalogue",
    destination_service_name: "catalogue",
    destination_service_namespace: "shop",
    response_code: "200",
    ...more,
  };
  return { name: "istio_requests_total", labels, value: count };
}

describe("an edge", () => {
  test("is counted once although both its ends report it", () => {
    const [edge, ...rest] = edgesOf([requests("source", 7), requests("destination", 7)]);
    assert.deepEqual(rest, []);
    assert.equal(edge?.requests, 7);
    assert.equal(edge?.source, "shop/web");
    assert.equal(edge?.destination, "shop/catalogue");
  });

  test("says mTLS only when every peer was verified, and nothing when there was no peer", () => {
    const inTheClear = { destination_principal: "unknown" };
    const nobody = { ...inTheClear, destination_workload: "unknown", response_code: "503" };
    const mtls = (...samples: ReturnType<typeof requests>[]) => edgesOf(samples)[0]?.mtls;
    assert.equal(mtls(requests("source", 5)), true);
    assert.equal(mtls(requests("source", 5), requests("source", 1, inTheClear)), false);
    assert.equal(mtls(requests("source", 5), requests("source", 1, nobody)), true);
    assert.equal(mtls(requests("source", 1, nobody)), undefined);
  });

  test("splits by the version that answered and counts 5xx and no answer as failed", () => {
    const [edge] = edgesOf([
      requests("source", 90, { destination_version: "v1" }),
      requests("source", 8, { destination_version: "v2" }),
      requests("source", 1, { destination_version: "v2", response_code: "503" }),
      requests("source", 1, { destination_version: "v2", response_code: "0" }),
      requests("source", 10, { destination_version: "v1", response_code: "403" }),
    ]);
    assert.deepEqual(edge?.versions, { v1: 100, v2: 10 });
    assert.deepEqual(edge?.codes, { "0": 1, "200": 98, "403": 10, "503": 1 });
    assert.equal(edge?.successShare, 1 - 2 / 110);
  });
});

describe("what moved since the last reading", () => {
  test("starts again when a sidecar does, and keeps sidecars apart", () => {
    const counters = new Counters();
    const values = (sidecar: string, count: number) =>
      counters.advance(sidecar, [requests("source", count)]).map(({ value }) => value);
    assert.deepEqual(values("a", 10), [10]);
    assert.deepEqual(values("a", 15), [5]);
    assert.deepEqual(values("b", 3), [3]);
    assert.deepEqual(values("a", 15), []);
    assert.deepEqual(values("a", 2), [2]);
  });
});

describe("the table", () => {
  test("lines up, and rounds success down", () => {
    const lines = renderEdges(
      [
        {
          source: "shop/web",
          destination: "shop/catalogue",
          protocol: "http",
          requests: 5000,
          successShare: 0.9996,
          codes: {},
          p50Ms: 1.234,
          p99Ms: 12.34,
          versions: { v2: 500, v1: 4500 },
          mtls: true,
        },
        {
          source: "shop/cart",
          destination: "shop/database",
          protocol: "tcp",
          requests: 5,
          successShare: 1,
          codes: {},
          versions: { v1: 5 },
        },
      ],
      5,
    );
    assert.deepEqual(lines, [
      "SOURCE     DESTINATION             RATE  SUCCESS     P50    P99  VERSIONS       MTLS",
      "shop/web   shop/catalogue  1000.0 req/s    99.9%  1.2 ms  12 ms  v1 90% v2 10%  yes",
      "shop/cart  shop/database     1.0 conn/s        -       -      -  v1             -",
    ]);
  });

  test("says so when there is nothing", () => {
    assert.deepEqual(renderEdges([], 5), ["no requests yet"]);
  });
});
