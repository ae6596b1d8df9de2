/**
 * A real Envoy and our proxy, side by side: what each endpoint of a cluster gets of the same requests, balancer by
 * balancer (envoy/share-cases.ts).
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ProxyConfig } from "../../src/model/proxy-config.ts";
import { Harness } from "../../src/proxy/testing/harness.ts";
import { endpoint, forward, route, virtualHost } from "../../src/proxy/testing/mesh.ts";
import { createMeshCa } from "../../src/proxy/testing/mesh-ca.ts";
import { encodeProxyConfig } from "../../src/wire/xds/proxy-config.ts";
import { startControlPlane } from "./envoy/control-plane.ts";
import { EnvoyProcess, skipWithoutEnvoy } from "./envoy/envoy-process.ts";
import { withListedBalancer } from "./envoy/listed-balancer.ts";
import { startOurs } from "./envoy/our-sidecar.ts";
import { type ShareCase, shareCases } from "./envoy/share-cases.ts";
import { type Answerers, startAnswerers } from "./envoy/shares.ts";

describe("Envoy and our proxy, told to balance alike", { skip: skipWithoutEnvoy }, () => {
  const harness = new Harness();
  let answerers: Answerers;
  let ports: { readonly envoy: number; readonly ours: number };

  before(async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-envoy-"));
    harness.atEnd(() => rmSync(folder, { recursive: true, force: true }));
    answerers = await startAnswerers(harness, 3);
    let resources = encodeProxyConfig(configurationFor(answerers.ports));
    for (const { cluster, listed } of shareCases) {
      if (listed !== undefined) resources = withListedBalancer(resources, cluster.name, listed);
    }
    const socket = join(folder, "xds");
    const secrets = await (await createMeshCa()).secrets("spiffe://cluster.local/ns/shop/sa/web");
    const control = await startControlPlane(socket, resources, secrets);
    harness.atEnd(() => control[Symbol.asyncDispose]());
    const envoy = EnvoyProcess.start(folder, socket);
    harness.atEnd(() => envoy[Symbol.asyncDispose]());
    const ours = await startOurs(harness, socket);
    ports = { ours: ours.portOf("open") ?? 0, envoy: await envoy.portOf("open") };
    await control.taken;
  });
  after(() => harness[Symbol.asyncDispose]());

  for (const { name, cluster, sending, wanted, envoy } of shareCases) {
    test(`give each endpoint as many requests: ${name}`, async () => {
      const shares = async (port: number) => {
        const found = await answerers.shares(port, `${cluster.name}.test`, sending);
        const used = found.slice(0, wanted.length);
        return sending.headers === undefined ? used : used.toSorted((a, b) => b - a);
      };
      assert.deepEqual(await shares(ports.ours), wanted, "ours");
      assert.deepEqual(await shares(ports.envoy), envoy?.shares ?? wanted, "Envoy");
    });
  }
});

function configurationFor(ports: readonly number[]): ProxyConfig {
  const hash = [{ kind: "header", name: "x-key" }] as const;
  const hostOf = ({ cluster: { name }, metadata }: ShareCase) => {
    const meant = metadata === undefined ? {} : { metadata };
    return virtualHost([`${name}.test`], [route(forward(name, { hash, ...meant }))]);
  };
  const endpointsOf = (all: ShareCase["endpoints"]) =>
    all.map((more, index) => endpoint(ports[index] ?? 0, more));
  return {
    listeners: [
      {
        name: "open",
        direction: "outbound",
        address: "127.0.0.1",
        port: 0,
        bindToPort: true,
        useOriginalDestination: false,
        filterChains: [
          {
            name: "open",
            match: {},
            rbac: [],
            filter: {
              kind: "http",
              statPrefix: "open",
              routes: { kind: "rds", name: "routes" },
              rbac: [],
            },
          },
        ],
      },
    ],
    routes: [{ name: "routes", virtualHosts: shareCases.map(hostOf) }],
    clusters: shareCases.map(({ cluster, endpoints }) =>
      cluster.discovery.kind === "dns"
        ? { ...cluster, discovery: { ...cluster.discovery, endpoints: endpointsOf(endpoints) } }
        : cluster,
    ),
    endpoints: shareCases
      .filter(({ cluster }) => cluster.discovery.kind === "eds")
      .map(({ cluster, endpoints }) => ({
        cluster: cluster.name,
        endpoints: endpointsOf(endpoints),
      })),
  };
}
