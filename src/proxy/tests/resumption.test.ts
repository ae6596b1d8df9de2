/** Sessions of mutual TLS that are gone on with. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { workloadLifetimeMs } from "../../pki/authority.ts";
import type { Sidecar } from "../sidecar.ts";
import { Harness, request } from "../testing/harness.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";
import { client, identity, resumptions, server } from "../testing/mutual-tls.ts";

/** Longer than a certificate of the mesh lives. */
const laterMs = 2 * workloadLifetimeMs;

/** The next request takes a connection of its own. */
function closeIdle({ tables }: Sidecar): void {
  for (const host of tables.clusters.get("cart")?.hosts ?? []) host.closeIdle();
}

describe("a session of mutual TLS", () => {
  test("is gone on with, and begins anew with a new certificate", async () => {
    await using harness = new Harness();
    const ca = await createMeshCa();
    const app = await harness.app((req, res) => {
      res.setHeader("connection", "close");
      res.end(String(req.headers["x-forwarded-client-cert"]));
    });
    const port = await server(harness, ca, app);
    const resumed = await resumptions(harness, port);
    const web = await client(harness, ca, resumed.port);
    const caller = `URI=${identity("web")}`;
    const ask = async () => {
      closeIdle(web.sidecar);
      assert.equal((await request(web.port)).body, caller);
    };
    for (let i = 0; i < 3; i++) await ask();
    assert.deepEqual(resumed.offers, [false, true, true]);
    const { version, config } = web.sidecar.tables;
    await web.sidecar.apply({ version, config, secrets: await ca.secrets(identity("web")) });
    await ask();
    await ask();
    assert.deepEqual(resumed.offers.slice(3), [false, true]);
  });

  for (const meshTls of ["openssl", "node"] as const) {
    describe(`with ${meshTls}`, () => {
      test("of a client is refused once the client's certificate has expired", async () => {
        await using harness = new Harness();
        const ca = await createMeshCa();
        const app = await harness.app((_, res) => res.end("ok"));
        let aheadMs = 0;
        const epochMs = () => Date.now() + aheadMs;
        const port = await server(harness, ca, app, { meshTls, epochMs });
        const resumed = await resumptions(harness, port);
        const web = await client(harness, ca, resumed.port, { meshTls });
        const ask = async () => {
          closeIdle(web.sidecar);
          return (await request(web.port)).status;
        };
        assert.deepEqual([await ask(), await ask()], [200, 200]);
        assert.deepEqual(resumed.offers, [false, true]);
        aheadMs = laterMs;
        assert.equal(await ask(), 503);
      });

      test("is not gone on with once the server's certificate has expired", async () => {
        await using harness = new Harness();
        const ca = await createMeshCa();
        const app = await harness.app((_, res) => res.end("ok"));
        const port = await server(harness, ca, app, { meshTls });
        const resumed = await resumptions(harness, port);
        let aheadMs = 0;
        const epochMs = () => Date.now() + aheadMs;
        const web = await client(harness, ca, resumed.port, { meshTls, epochMs });
        const ask = async () => {
          closeIdle(web.sidecar);
          assert.equal((await request(web.port)).status, 200);
        };
        await ask();
        await ask();
        aheadMs = laterMs; // by OpenSSL's own clock all is well, so that only the session is not used
        await ask();
        assert.deepEqual(resumed.offers, [false, true, false]);
      });
    });
  }
});
