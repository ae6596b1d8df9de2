/** Fields that a route adds, with what their formats say of the request. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HeaderEdit } from "../../model/proxy-config.ts";
import { Harness, request } from "../testing/harness.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const values: readonly (readonly [value: string, expected: RegExp | undefined])[] = [
  ["%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", /^127\.0\.0\.1$/],
  ["from %DOWNSTREAM_REMOTE_ADDRESS%!", /^from 127\.0\.0\.1:\d+!$/],
  ["%DOWNSTREAM_LOCAL_ADDRESS% %PROTOCOL%", /^10\.96\.0\.1:80 HTTP\/1\.1$/],
  ["%REQ(X-Team)%", /^shop$/],
  ["%REQ(X-Nobody?X-Team):2%", /^sh$/],
  ["%REQ(:PATH)% %REQ(:AUTHORITY)%", /^\/a\?b=c cart$/],
  ["%UPSTREAM_CLUSTER% %ROUTE_NAME% %HOSTNAME%", /^app default web-v1-abcde$/],
  ["%START_TIME%", /^\d{4}-\d\d-\d\dT[\d:.]+Z$/],
  ["t=%START_TIME(%s.%3f)%", /^t=\d{10}\.\d{3}$/],
  ["%START_TIME(%Y/%m/%d %T%z %q)%", /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\+0000 %q$/],
  ["%REQ(X-Nobody)%", undefined], // nothing to say: no field
  ["%DOWNSTREAM_PEER_URI_SAN%", undefined],
  ["100%% of 50%", /^100% of 50%$/],
  ["%NO_SUCH_NAME%", /^%NO_SUCH_NAME%$/],
  // Words that are no names, whatever stands around them.
  ['"HOSTNAME"', /^"HOSTNAME"$/],
  ["(constructor)", /^\(constructor\)$/],
  ["%__proto__%", /^%__proto__%$/],
];

const names = values.map((_, index) => `x-made-${index}`);
const edit: HeaderEdit = {
  set: values.map(([value], index) => [names[index] ?? "", value]),
  add: [],
  remove: [],
};
const asking = { path: "/a?b=c", headers: { "x-team": "shop" } };

describe("a field that an edit makes of the request", () => {
  test("says of it what Envoy's names say, on the way to its endpoint and back", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => res.end(JSON.stringify(req.headers)));
    const edited = { requestHeaders: edit, responseHeaders: edit };
    const { port } = await harness.outbound([virtualHost(["*"], [route(forward("app"), edited)])], {
      clusters: [cluster("app")],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    });
    const { headers, body } = await request(port, asking);
    const seen = JSON.parse(body) as Readonly<Record<string, string | undefined>>;
    for (const [index, [value, expected]] of values.entries()) {
      const name = names[index] ?? "";
      for (const made of [seen[name], headers[name]]) {
        if (expected === undefined) assert.equal(made, undefined, value);
        else assert.match(String(made), expected, value);
      }
    }
  });

  test("says of the answer how it came about, and of a request nothing of that", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => res.writeHead(207).end(req.headers["x-code"]));
    const edited = {
      set: [
        ["x-code", "%RESPONSE_CODE%"],
        ["x-how", "%RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS%"],
        ["x-by", "%UPSTREAM_HOST%"],
        ["x-at", "%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% for %REQ(X-Team)%"],
      ],
      add: [["x-by", "%UPSTREAM_REMOTE_ADDRESS%"]],
      remove: [],
    } as const;
    const both = { requestHeaders: edited, responseHeaders: edited };
    const { port } = await harness.outbound(
      [
        virtualHost(["said"], [route({ kind: "respond", status: 503, body: "" }, both)]),
        virtualHost(["*"], [route(forward("app"), both)]),
      ],
      { clusters: [cluster("app")], endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }] },
    );
    const { headers, body } = await request(port, asking);
    assert.equal(body, "");
    assert.deepEqual(
      [headers["x-code"], headers["x-how"], headers["x-by"], headers["x-at"]],
      ["207", "via_upstream -", `127.0.0.1:${app}, 127.0.0.1:${app}`, `127.0.0.1 ${app} for shop`],
    );
    const own = await request(port, { headers: { host: "said" } });
    assert.deepEqual([own.headers["x-code"], own.headers["x-by"]], ["503", undefined]);
  });

  test("is in answers of the route's own, too", async () => {
    await using harness = new Harness();
    const responseHeaders = { set: [["x-who", "%REQ(X-Team)%"]] as const, add: [], remove: [] };
    const { port } = await harness.outbound(
      [
        virtualHost(
          ["said"],
          [route({ kind: "respond", status: 200, body: "" }, { responseHeaders })],
        ),
        virtualHost(
          ["moved"],
          [route({ kind: "redirect", status: 301, host: "a" }, { responseHeaders })],
        ),
      ],
      {},
    );
    for (const host of ["said", "moved"]) {
      const { headers } = await request(port, { headers: { host, "x-team": "shop" } });
      assert.equal(headers["x-who"], "shop");
    }
  });

  test("cannot end its line by what a client says", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => res.end(String(req.headers["x-made"])));
    const requestHeaders = { set: [["x-made", "%REQ(X-Team)%"]] as const, add: [], remove: [] };
    const { port } = await harness.outbound(
      [virtualHost(["*"], [route(forward("app"), { requestHeaders })])],
      {
        clusters: [cluster("app")],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      },
    );
    const { body } = await request(port, { headers: { "x-team": "a\tb" } });
    assert.equal(body, "a b");
  });
});
