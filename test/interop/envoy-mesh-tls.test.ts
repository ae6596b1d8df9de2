/** Mutual TLS between our proxy and a real Envoy, which is BoringSSL, each as the other's client and server. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request as ask, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { FilterChain, ProxyConfig } from "../../src/model/proxy-config.ts";
import { Harness } from "../../src/proxy/testing/harness.ts";
import {
  cluster,
  downstreamTls,
  endpoint,
  forward,
  inbound,
  labels,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtual,
  virtualHost,
} from "../../src/proxy/testing/mesh.ts";
import { createMeshCa } from "../../src/proxy/testing/mesh-ca.ts";
import { encodeProxyConfig } from "../../src/wire/xds/proxy-config.ts";
import { startControlPlane } from "./envoy/control-plane.ts";
import { EnvoyProcess, skipWithoutEnvoy } from "./envoy/envoy-process.ts";

const identity = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;
const hostOf = (name: string) => [virtualHost(["*"], [route(forward(name))])];

/** An HTTP listener of Envoy's that sends all to a cluster. */
function toCluster(name: string, tls?: FilterChain["tls"]): ProxyConfig["listeners"][number] {
  const filter: FilterChain["filter"] = {
    kind: "http",
    statPrefix: name,
    rbac: [],
    routes: { kind: "inline", config: { name, virtualHosts: hostOf(name) } },
  };
  const chain: FilterChain = { name, match: {}, rbac: [], filter, ...(tls && { tls }) };
  const listener = virtual(name, tls === undefined ? "outbound" : "inbound", [chain]);
  return { ...listener, useOriginalDestination: false };
}

describe("mutual TLS with Envoy", { skip: skipWithoutEnvoy }, () => {
  const harness = new Harness();
  let ports: { readonly toOurs: number; readonly toEnvoy: number };

  before(async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-envoy-tls-"));
    harness.atEnd(() => rmSync(folder, { recursive: true, force: true }));
    const ca = await createMeshCa();
    const echo = await harness.app((request, response) => request.pipe(response));
    const callee = await harness.sidecar(
      {
        workload: labels("shop", "cart"),
        destination: () => ({ address: "127.0.0.1", port: echo }),
      },
      inbound(echo, { isStrict: true }),
      { secrets: await ca.secrets(identity("cart")) },
    );
    const ourPort = callee.portOf("virtualInbound") ?? 0;
    const control = await startControlPlane(
      join(folder, "xds"),
      encodeProxyConfig({
        listeners: [toCluster("ours"), toCluster("echo", downstreamTls)],
        routes: [],
        // Which of the two it speaks is Envoy's to know: it does not ask what was agreed on.
        clusters: [
          cluster("ours", { tls: { ...upstreamTls(identity("cart")), alpn: ["http/1.1"] } }),
          cluster("echo"),
        ],
        endpoints: [
          { cluster: "ours", endpoints: [endpoint(ourPort, { tls: true })] },
          { cluster: "echo", endpoints: [endpoint(echo)] },
        ],
      }),
      await ca.secrets(identity("envoy")),
    );
    harness.atEnd(() => control[Symbol.asyncDispose]());
    const envoy = EnvoyProcess.start(folder, join(folder, "xds"));
    harness.atEnd(() => envoy[Symbol.asyncDispose]());
    const caller = await harness.sidecar(
      {
        workload: labels("shop", "web"),
        destination: () => ({ address: "10.96.0.1", port: 80 }),
      },
      {
        ...outbound(hostOf("envoy")),
        clusters: [cluster("envoy", { tls: upstreamTls(identity("envoy")) }), passthrough],
        endpoints: [
          {
            cluster: "envoy",
            endpoints: [endpoint(await envoy.portOf("echo"), { tls: true })],
          },
        ],
      },
      { secrets: await ca.secrets(identity("web")) },
    );
    ports = {
      toOurs: await envoy.portOf("ours"),
      toEnvoy: caller.portOf("virtualOutbound") ?? 0,
    };
  });
  after(() => harness[Symbol.asyncDispose]());

  for (const [name, from] of [
    ["as our client", "toOurs"],
    ["as our server", "toEnvoy"],
  ] as const) {
    test(`${name} carries bodies of all sizes both ways, one after the other and at once`, async () => {
      const agent = new Agent({ keepAlive: true });
      const port = ports[from];
      for (const size of [0, 1, 1_000, 16_384, 16_385, 300_000]) {
        await echoes(port, agent, randomBytes(size));
      }
      await Promise.all(
        Array.from({ length: 20 }, (_, i) => echoes(port, agent, randomBytes(i * 9_000))),
      );
      agent.destroy();
    });
  }
});

async function echoes(port: number, agent: Agent, body: Buffer): Promise<void> {
  const options = { host: "127.0.0.1", port, agent, method: "POST", headers: { host: "cart" } };
  const request = ask(options);
  request.end(body);
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  const echoed = Buffer.concat(await answer.toArray());
  assert.equal(answer.statusCode, 200, echoed.toString("latin1", 0, 500));
  assert.ok(echoed.equals(body), `${echoed.length} bytes came back of ${body.length}`);
}
