/** What endpoints that break HTTP/2 can cost, and whom. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Harness } from "../testing/harness.ts";
import { echo, Http2Client, http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtualHost } from "../testing/mesh.ts";
import { hexFrame } from "../testing/raw-frames.ts";

describe("an endpoint that breaks HTTP/2", () => {
  const settings = hexFrame(4, 0, 0, "");
  const ping = hexFrame(6, 0, 0, "0000000000000000");
  // :status 200, a field of 1 900 bytes that goes into the table, and eight thousand references to it.
  const longHead = `88400178${"7fed0d"}${"76".repeat(1_900)}${"be".repeat(8_000)}`;
  for (const [name, answer, status] of [
    ["by answering in HTTP/1.1", Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 502],
    ["by a bad index", Buffer.concat([settings, hexFrame(1, 5, 1, "ff7f")]), 502],
    ["by pushing", Buffer.concat([settings, hexFrame(5, 4, 1, "0000000288")]), 502],
    [
      "by a frame that is too long",
      Buffer.concat([settings, Buffer.from("ffffff000000000001", "hex")]),
      502,
    ],
    [
      "by an answer without status",
      Buffer.concat([settings, hexFrame(1, 5, 1, "0001780179")]),
      502,
    ],
    ["by a body in front of its head", Buffer.concat([settings, hexFrame(0, 1, 1, "6869")]), 502],
    ["by resetting the stream", Buffer.concat([settings, hexFrame(3, 0, 1, "00000002")]), 503],
    [
      "by going away without looking",
      Buffer.concat([settings, hexFrame(7, 0, 0, "0000000000000000")]),
      503,
    ],
    [
      "by a flood of pings",
      Buffer.concat([settings, ...Array.from({ length: 3_000 }, () => ping)]),
      502,
    ],
    [
      "by an answer whose head is too large",
      Buffer.concat([settings, hexFrame(1, 5, 1, longHead)]),
      502,
    ],
    ["by a flood of settings", Buffer.concat(Array.from({ length: 3_000 }, () => settings)), 502],
    ["by closing", undefined, 503],
  ] as const) {
    test(`${name} costs its own requests an error and nothing else`, async () => {
      await using harness = new Harness();
      const bad = await harness.tcpApp((socket) => {
        socket.once("data", () => (answer === undefined ? socket.destroy() : socket.write(answer)));
      });
      const good = await http2App(harness, echo);
      const { port } = await harness.outbound(
        [
          virtualHost(["bad"], [route(forward("bad"))]),
          virtualHost(["*"], [route(forward("good"))]),
        ],
        {
          clusters: ["bad", "good"].map((name) => cluster(name, { protocol: "http/2" })),
          endpoints: [
            { cluster: "bad", endpoints: [endpoint(bad)] },
            { cluster: "good", endpoints: [endpoint(good.port)] },
          ],
        },
      );
      const client = new Http2Client(harness, port);
      const [broken, fine] = await Promise.all([
        client.request({ ":authority": "bad" }),
        client.request({ ":method": "POST" }, "fine"),
      ]);
      assert.equal(broken.headers[":status"], status);
      assert.equal(fine.body, "fine");
    });
  }
});
