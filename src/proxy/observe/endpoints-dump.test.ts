import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness } from "../testing/harness.ts";
import { cluster, endpoint } from "../testing/mesh.ts";
import { endpointsDump } from "./endpoints-dump.ts";

test("endpoints in /config_dump are told with their health, which istioctl called UNKNOWN", async () => {
  await using harness = new Harness();
  const sidecar = await harness.sidecar(
    { destination: () => undefined },
    {
      clusters: [cluster("app", { discovery: { kind: "eds", endpoints: "behind" } })],
      endpoints: [
        {
          cluster: "behind",
          endpoints: [
            endpoint(1001),
            endpoint(1002, { isUnhealthy: true }),
            endpoint(1003, { address: "::1", priority: 1 }),
          ],
        },
        { cluster: "unused", endpoints: [endpoint(1004)] },
      ],
    },
  );
  const told = JSON.stringify(endpointsDump(sidecar));
  const found = [...told.matchAll(/"port_value":(\d+).*?(?:"health_status":"(\w+)"|$)/g)];
  assert.deepEqual(
    found.map(([, port, health]) => `${port} ${health}`),
    ["1001 HEALTHY", "1002 UNHEALTHY", "1003 HEALTHY", "1004 undefined"],
  );
});
