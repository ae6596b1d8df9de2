/** A head of HTTP/2 with as many fields as may be, and cookies, which become one more at its end. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Rbac } from "../../model/proxy-config.ts";
import { Harness } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, outbound, route, virtualHost } from "../testing/mesh.ts";

const noCookies: Rbac = {
  action: "deny",
  policies: [
    {
      name: "no-cookies",
      permissions: [{ kind: "any" }],
      principals: [
        { kind: "header", header: { name: "cookie", match: { kind: "present" }, invert: false } },
      ],
    },
  ],
};

async function outlet(harness: Harness, port: number, rbac: readonly Rbac[], protocol?: "http/2") {
  const hosts = [virtualHost(["*"], [route(forward("app"))])];
  const sidecar = await harness.sidecar(
    { destination: () => ({ address: "10.96.0.1", port: 80 }) },
    {
      ...outbound(hosts, rbac),
      clusters: [cluster("app", protocol === undefined ? {} : { protocol })],
      endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
    },
  );
  return new Http2Client(harness, sidecar.portOf("virtualOutbound") ?? 0);
}

const others = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, "y"]));

describe("a request of HTTP/2 with cookies and as many fields as may be", () => {
  test("passes no policy that forbids the cookies", async () => {
    await using harness = new Harness();
    const seen: unknown[] = [];
    const app = await harness.app((req, res) => {
      seen.push(req.headers.cookie);
      res.end();
    });
    const client = await outlet(harness, app, [noCookies]);
    const few = await client.request({ cookie: "a=b" });
    assert.equal(few.headers[":status"], 403);
    const { headers } = await client.request({ cookie: "a=b", ...others(99) });
    assert.notEqual(headers[":status"], 200, `the app saw ${seen}`);
  });

  for (const protocol of [undefined, "http/2"] as const) {
    test(`brings none of the fields back that end here (${protocol ?? "http/1.1"})`, async () => {
      await using harness = new Harness();
      const seen: Record<string, unknown>[] = [];
      const app =
        protocol === undefined
          ? await harness.app((req, res) => {
              seen.push(req.headers);
              res.end();
            })
          : (
              await http2App(harness, (stream, headers) => {
                seen.push(headers);
                stream.respond({ ":status": 200 });
                stream.end();
              })
            ).port;
      const client = await outlet(harness, app, [], protocol);
      const forged = "URI=spiffe://cluster.local/ns/a/sa/admin";
      const { headers } = await client.request({
        cookie: "a=b",
        "x-forwarded-client-cert": forged,
        ...others(97),
        "x-envoy-internal": "true",
      });
      assert.equal(headers[":status"], 431);
      for (const one of seen) assert.equal(one["x-forwarded-client-cert"], undefined);
    });
  }
});
