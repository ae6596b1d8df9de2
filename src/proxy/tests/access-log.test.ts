/** What the access log says of requests. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Fault } from "../../model/proxy-config.ts";
import { Harness, request } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

async function logged(harness: Harness, fault?: Fault) {
  const lines: Record<string, unknown>[] = [];
  const ids: unknown[] = [];
  const app = await harness.app((req, res) => {
    ids.push(req.headers["x-request-id"]);
    req.resume();
    req.on("end", () => res.end("four"));
  });
  const { port } = await harness.outbound(
    [virtualHost(["*"], [route(forward("app"), fault === undefined ? {} : { fault })])],
    {
      clusters: [cluster("app")],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    },
    { accessLog: (line) => lines.push(JSON.parse(line)) },
  );
  return { port, lines, ids };
}

describe("the access log", () => {
  test("names the id that a request without one was given on its way", async () => {
    await using harness = new Harness();
    const { port, lines, ids } = await logged(harness);
    await request(port);
    assert.match(String(ids[0]), /^[0-9a-f-]{36}$/);
    assert.equal(lines[0]?.["request_id"], ids[0]);
  });

  test("counts the bytes of bodies, as Envoy's does", async () => {
    await using harness = new Harness();
    const { port, lines } = await logged(harness);
    await request(port, { method: "POST", headers: { "content-length": 3 } }, "abc");
    await request(port, { method: "HEAD" });
    const bytes = lines.map((line) => [line["bytes_received"], line["bytes_sent"]]);
    assert.deepEqual(bytes, [
      [3, 4],
      [0, 0],
    ]);
  });

  test("flags a request that was delayed and aborted with both", async () => {
    await using harness = new Harness();
    const { port, lines } = await logged(harness, {
      delay: { percent: 100, fixedMs: 1 },
      abort: { percent: 100, status: 418 },
    });
    await request(port);
    assert.equal(lines[0]?.["response_flags"], "DI,FI");
  });
});
