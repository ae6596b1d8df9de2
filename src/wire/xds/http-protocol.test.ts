/** How long connections to endpoints live, as other control planes write it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { HttpProtocolOptions } from "./gen/messages.ts";
import { decodeHttpProtocol } from "./http-protocol.ts";

const life = { idleTimeout: { seconds: 5 }, maxRequestsPerConnection: { value: 2 } };
const decoded = { idleTimeoutMs: 5_000, maxRequestsPerConnection: 2 };

describe("the life of a cluster's connections", () => {
  const cases: readonly (readonly [where: string, cluster: wire.Cluster, wanted: object])[] = [
    ["the cluster itself", { commonHttpProtocolOptions: life }, decoded],
    [
      "the extension, where Istio writes it",
      extended({
        commonHttpProtocolOptions: life,
        explicitHttpConfig: { httpProtocolOptions: {} },
      }),
      decoded,
    ],
    [
      "the extension alone, where both are there",
      {
        ...extended({ explicitHttpConfig: { http2ProtocolOptions: {} } }),
        commonHttpProtocolOptions: life,
      },
      { protocol: "http/2" },
    ],
  ];
  for (const [where, cluster, wanted] of cases) {
    test(`is read from ${where}`, () => {
      assert.deepEqual(decodeHttpProtocol(cluster, "c"), wanted);
    });
  }

  test("of HTTP/2 with a keepalive that never gives up is refused", () => {
    const connectionKeepalive = { interval: { seconds: 1 } };
    const http2ProtocolOptions = { connectionKeepalive };
    assert.throws(
      () => decodeHttpProtocol(extended({ explicitHttpConfig: { http2ProtocolOptions } }), "c"),
      /explicit_http_config\.http2_protocol_options\.connection_keepalive\.timeout: is missing/,
    );
  });
});

function extended(options: wire.HttpProtocolOptions): wire.Cluster {
  const any = pack(HttpProtocolOptions, options);
  return { typedExtensionProtocolOptions: { [HttpProtocolOptions.typeName]: any } };
}
