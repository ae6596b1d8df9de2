/** The end of a sidecar that has been taken over, while clients have said nothing yet, or only the beginning. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { FilterChain } from "../../model/proxy-config.ts";
import { Harness } from "../testing/harness.ts";
import { cluster, endpoint, forward, outbound, route, virtualHost } from "../testing/mesh.ts";

// who waits for the client, how chains are told apart, what the client has said by then
const waiting: readonly (readonly [who: string, match: FilterChain["match"], said: string])[] = [
  ["nothing", { transport: "raw", applicationProtocols: ["http/1.1"] }, ""],
  ["a part of its method", { transport: "raw", applicationProtocols: ["http/1.1"] }, "GE"],
  ["nothing, in HTTP for certain", {}, ""],
  ["what may become HTTP/2", {}, "P"],
];

for (const [what, match, said] of waiting) {
  test(`the only client of a sidecar that is taken over is answered though it had said ${what}`, async () => {
    await using harness = new Harness();
    const app = await harness.app((_, response) => response.end("served"));
    const { listeners, routes } = outbound([virtualHost(["*"], [route(forward("app"))])]);
    const sidecar = await harness.sidecar(
      { destination: () => ({ address: "10.96.0.1", port: 80 }) },
      {
        listeners: listeners.map((listener) => ({
          ...listener,
          filterChains: listener.filterChains.map((chain) => ({ ...chain, match })),
        })),
        routes,
        clusters: [cluster("app")],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      },
    );
    const client = await harness.raw(sidecar.portOf("virtualOutbound") ?? 0);
    client.send(said);
    const { connections } = sidecar.runtime;
    const held = () => [...connections.all].reduce((sum, { heldBytes }) => sum + heldBytes, 0);
    while (connections.size === 0 || held() < said.length) await turn();
    const retired = sidecar.retire(new AbortController().signal);
    const request = said === "P" ? "POST" : "GET";
    client.send(`${request} / HTTP/1.1\r\nhost: cart\r\n\r\n`.slice(said.length));
    const answer = await client.untilEnd();
    client.socket.end();
    assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
    assert.match(answer, /\r\nconnection: close\r\n(?:.*\r\n)*served$/);
    await retired;
  });
}
