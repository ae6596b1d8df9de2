/** What the server says of itself to Prometheus. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { complaintsAbout, skipWithoutPromtool } from "../../test/promtool.ts";
import { runningServer } from "./testdata/running-server.ts";

const { metricsPort } = await runningServer();

const at = (path: string, init?: RequestInit) =>
  fetch(`http://127.0.0.1:${metricsPort}${path}`, init);

describe("the server's metrics", () => {
  test("are istiod's, by name", async () => {
    const answer = await at("/metrics");
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    const text = await answer.text();
    for (const name of [
      "pilot_xds",
      "pilot_services",
      "pilot_virt_services",
      "pilot_proxy_convergence_time_count",
      "citadel_server_csr_count",
      "citadel_server_success_cert_issuance_count",
      "citadel_server_root_cert_expiry_timestamp",
      "citadel_server_root_cert_expiry_seconds",
      "process_cpu_seconds_total",
      "process_resident_memory_bytes",
    ]) {
      assert.match(text, new RegExp(`^${name} \\d`, "m"));
    }
    const [, left = ""] = /^citadel_server_root_cert_expiry_seconds (\d+)$/m.exec(text) ?? [];
    assert.ok(Number(left) > 3_000 * 86_400, left);
  });

  test("are written as Prometheus wants them", { skip: skipWithoutPromtool }, async () => {
    assert.deepEqual(complaintsAbout(await (await at("/metrics")).text()), []);
  });

  test("are all that there is", async () => {
    assert.equal((await at("/debug/configz")).status, 404);
    assert.equal((await at("/metrics", { method: "POST" })).status, 404);
  });
});
