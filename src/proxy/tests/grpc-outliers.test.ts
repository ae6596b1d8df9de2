/** What the end of a gRPC call says of its endpoint. */

import assert from "node:assert/strict";
import type { ServerHttp2Stream } from "node:http2";
import { describe, test } from "node:test";
import { framed } from "../testing/grpc-web.ts";
import { Harness } from "../testing/harness.ts";
import { Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";

const head = { ":status": 200, "content-type": "application/grpc" };

function succeed(stream: ServerHttp2Stream): void {
  stream.respond(head, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(framed("fine"));
}

describe("an endpoint of gRPC", () => {
  const cases: readonly (readonly [
    how: string,
    answer: (stream: ServerHttp2Stream) => void,
    /** Of six calls, where another endpoint takes turns with it; one failure is enough. */
    calls: number,
  ])[] = [
    ["that answers well is asked again", succeed, 3],
    [
      "whose answer ends without trailers is ejected",
      (stream) => {
        stream.respond(head);
        stream.end(framed("half"));
      },
      1,
    ],
    [
      "that answers with a head alone that says nothing is ejected",
      (stream) => stream.respond(head, { endStream: true }),
      1,
    ],
    [
      "that resets an answer which it began is ejected",
      (stream) => {
        stream.respond(head);
        stream.write(framed("half"), () => stream.session?.destroy());
      },
      1,
    ],
  ];
  for (const [how, answer, expected] of cases) {
    test(how, async () => {
      await using harness = new Harness();
      let calls = 0;
      const first = await http2App(harness, (stream) => {
        calls++;
        answer(stream);
      });
      const second = await http2App(harness, succeed);
      const outlierDetection = {
        consecutive5xx: 1,
        consecutiveGatewayErrors: 0,
        intervalMs: 3_600_000,
        baseEjectionMs: 3_600_000,
        maxEjectionPercent: 50,
      };
      const { port } = await harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
        clusters: [
          cluster("app", {
            protocol: "http/2",
            balancer: { kind: "round-robin" },
            outlierDetection,
          }),
        ],
        endpoints: [{ cluster: "app", endpoints: [endpoint(first.port), endpoint(second.port)] }],
      });
      const client = new Http2Client(harness, port);
      const call = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
      for (let i = 0; i < 6; i++) {
        await client.request(call, framed("hello")).catch((reason) => reason);
      }
      assert.equal(calls, expected);
    });
  }
});
