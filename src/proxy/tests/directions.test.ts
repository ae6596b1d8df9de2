/** Inbound and outbound connections of the same port. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Harness, request } from "../testing/harness.ts";
import { inbound, labels, outbound, route, virtualHost } from "../testing/mesh.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";

describe("a sidecar whose pod calls services on the port that it serves itself", () => {
  test("gives inbound connections to the application, not to the outbound routes of that port", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((_, res) => res.end("application"));
    const own = inbound(app);
    const calls = outbound([
      virtualHost(["*"], [route({ kind: "respond", status: 418, body: "outbound" })]),
    ]);
    const [byPort, ...others] = calls.listeners;
    const sidecar = await harness.sidecar(
      {
        workload: labels("shop", "cart"),
        destination: () => ({ address: "127.0.0.1", port: app }),
      },
      {
        ...own,
        routes: calls.routes,
        listeners: [
          ...own.listeners,
          ...others,
          ...(byPort === undefined ? [] : [{ ...byPort, name: `0.0.0.0_${app}`, port: app }]),
        ],
      },
      { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart") },
    );
    const outboundAnswer = await request(sidecar.portOf("virtualOutbound") ?? 0);
    assert.equal(outboundAnswer.status, 418);
    const inboundAnswer = await request(sidecar.portOf("virtualInbound") ?? 0);
    assert.equal(inboundAnswer.body, "application");
  });
});
