/** An application with TLS of its own behind its sidecar, and clients that have none. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import { compileFor, meshWorld } from "../../../test/worlds/mesh.ts";
import { Harness } from "../testing/harness.ts";
import { labels } from "../testing/mesh.ts";
import { createMeshCa } from "../testing/mesh-ca.ts";
import { webCertificate } from "../testing/web-certificate.ts";

const shop = `
pods:
  shop/cart: {}
services:
  shop/cart: { ports: { main: 9000 } }
`;
const strict = "kind: PeerAuthentication\nmetadata: { name: pa }\nspec: { mtls: { mode: STRICT } }";

/** Whose certificate a client sees; `closed` where it sees none. */
async function shown(port: number, more: ConnectionOptions): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...more });
  const answer = new Promise<string>((resolve) => {
    socket.on("data", () => resolve(socket.getPeerX509Certificate()?.subjectAltName ?? ""));
    socket.on("error", () => resolve("closed"));
    socket.on("close", () => resolve("closed"));
  });
  socket.on("secureConnect", () => socket.write("GET / HTTP/1.1\r\nhost: cart\r\n\r\n"));
  try {
    return await answer;
  } finally {
    socket.destroy();
  }
}

describe("TLS of an application's own", () => {
  const cases: readonly (readonly [where: string, port: number, rule: string[], wanted: string])[] =
    [
      ["on a port that nobody named", 9000, [], "DNS:cart.example"],
      ["on a port of no Service", 7777, [], "DNS:cart.example"],
      ["on a port that nobody named, where all must be the mesh's", 9000, [strict], "closed"],
    ];
  for (const [where, port, rules, wanted] of cases) {
    test(`${where} is ${wanted === "closed" ? "closed" : "passed on unopened"}`, async () => {
      await using harness = new Harness();
      const { chain: cert, key } = webCertificate("cart.example");
      const app = createServer({ cert, key }, (_, res) => res.end("own"));
      await once(app.listen(0, "127.0.0.1"), "listening");
      harness.atEnd(() => {
        app.close();
        app.closeAllConnections();
      });
      const appPort = (app.address() as AddressInfo).port;
      const { value } = compileFor(meshWorld(shop, ...rules), "shop/cart");
      // The application is at the port that the rules are about, as far as they know.
      const listeners = value.listeners.map((listener) => ({
        ...listener,
        ...(listener.bindToPort ? { address: "127.0.0.1", port: 0 } : {}),
        filterChains: listener.filterChains.map(({ match, ...rest }) => ({
          ...rest,
          match: match.destinationPort === port ? { ...match, destinationPort: appPort } : match,
        })),
      }));
      const ca = await createMeshCa();
      const sidecar = await harness.sidecar(
        {
          workload: labels("shop", "cart"),
          destination: () => ({ address: "127.0.0.1", port: appPort }),
        },
        { ...value, listeners },
        { secrets: await ca.secrets("spiffe://cluster.local/ns/shop/sa/cart") },
      );
      const inbound = sidecar.portOf("virtualInbound") ?? 0;
      assert.equal(await shown(inbound, {}), wanted);
      assert.equal(await shown(inbound, { ALPNProtocols: ["http/1.1"] }), wanted);
    });
  }
});
