import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { renderText } from "../../telemetry/exposition.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness, request, snapshot } from "../testing/harness.ts";
import { cluster } from "../testing/mesh.ts";

const scrape = (sidecar: Sidecar): string => renderText(sidecar.runtime.environment.metrics);

describe("a sidecar's metrics of itself", () => {
  test("are counters where they only rise: as gauges, collectors could make no rates of them", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end());
    const { sidecar, port } = await harness.toPorts([app]);
    await request(port);
    const text = scrape(sidecar);
    assert.match(text, /^# TYPE envoy_cluster_upstream_cx_total counter$/m);
    assert.match(text, /^envoy_cluster_upstream_cx_total\{cluster_name="app"\} 1$/m);
    assert.match(text, /^# TYPE envoy_listener_downstream_cx_total counter$/m);
    assert.match(text, /^# TYPE envoy_cluster_upstream_cx_active gauge$/m);
    assert.match(text, /^# TYPE envoy_cluster_membership_total gauge$/m); // as Envoy calls it
  });

  test("no longer tell of a cluster that is gone, whose endpoints stayed healthy for ever", async () => {
    await using harness = new Harness();
    const sidecar = await harness.sidecar(
      { destination: () => undefined },
      { clusters: [cluster("stays"), cluster("goes")] },
    );
    assert.match(scrape(sidecar), /cluster_name="goes"/);
    await sidecar.apply(snapshot({ clusters: [cluster("stays")] }, { version: "2" }));
    assert.doesNotMatch(scrape(sidecar), /cluster_name="goes"/);
    assert.match(scrape(sidecar), /cluster_name="stays"/);
  });
});
