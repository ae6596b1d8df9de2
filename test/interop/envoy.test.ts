/**
 * A real Envoy and our proxy, side by side: the same resources from the same xDS server, the same requests, the same
 * application. What they answer is compared word by word; where they differ stands in the table (envoy/cases.ts), with a
 * reason each.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createXdsSource } from "../../src/proxy/config/xds-source.ts";
import type { Sidecar } from "../../src/proxy/sidecar.ts";
import { Harness } from "../../src/proxy/testing/harness.ts";
import { labels, node, silentLog, testSidecar } from "../../src/proxy/testing/mesh.ts";
import { createMeshCa, type MeshCa } from "../../src/proxy/testing/mesh-ca.ts";
import { encodeProxyConfig } from "../../src/wire/xds/proxy-config.ts";
import { type Application, startApplication } from "./envoy/application.ts";
import { type Answer, ask, type Caller, type Question } from "./envoy/asking.ts";
import { type CallerName, cases, type ListenerName } from "./envoy/cases.ts";
import { differencesOf } from "./envoy/comparison.ts";
import { configurationFor } from "./envoy/configuration.ts";
import { startControlPlane } from "./envoy/control-plane.ts";
import { EnvoyProcess, skipWithoutEnvoy } from "./envoy/envoy-process.ts";
import { withListedBalancer } from "./envoy/listed-balancer.ts";

const clock = { now: Date.now, sleep: (ms: number) => new Promise<void>((r) => setTimeout(r, ms)) };

describe("Envoy and our proxy, told the same", { skip: skipWithoutEnvoy }, () => {
  const harness = new Harness();
  let application: Application;
  let ports: Record<"envoy" | "ours", Record<ListenerName, number>>;
  let callers: Record<CallerName, Caller>;

  before(async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-envoy-"));
    harness.atEnd(() => rmSync(folder, { recursive: true, force: true }));
    application = await startApplication(harness);
    const config = configurationFor({ ...application, dead: await harness.deadPort() });
    const resources = withListedBalancer(encodeProxyConfig(config), "other");
    const socket = join(folder, "xds");
    const ca = await createMeshCa();
    const secrets = await ca.secrets("spiffe://cluster.local/ns/shop/sa/web");
    const control = await startControlPlane(socket, resources, secrets);
    harness.atEnd(() => control[Symbol.asyncDispose]());
    const envoy = EnvoyProcess.start(folder, socket);
    harness.atEnd(() => envoy[Symbol.asyncDispose]());
    callers = { web: await callerOf(ca, "web"), stranger: await callerOf(ca, "stranger") };
    const ours = await startOurs(harness, socket);
    ports = {
      ours: portsOf((listener) => ours.portOf(listener) ?? 0),
      envoy: {
        open: await envoy.portOf("open"),
        guarded: await envoy.portOf("guarded"),
        secured: await envoy.portOf("secured"),
      },
    };
    await control.taken;
  });
  after(() => harness[Symbol.asyncDispose]());

  for (const { name, to, as, question, differs = {} } of cases) {
    test(`answer alike to ${name}`, async () => {
      const answers = {
        envoy: await fresh(ports.envoy[to], question, as),
        ours: await fresh(ports.ours[to], question, as),
      };
      const found = differencesOf(answers.envoy, answers.ours);
      const unexpected = [...found]
        .filter(([part]) => !Object.hasOwn(differs, part))
        .map(([part, { envoy, ours }]) => `${part}: Envoy ${shown(envoy)}, ours ${shown(ours)}`);
      assert.deepEqual(unexpected, [], "differs without a reason in the table");
      const vanished = Object.keys(differs).filter((part) => !found.has(part));
      assert.deepEqual(vanished, [], "is the same by now: take the reason out of the table");
    });
  }

  function fresh(port: number, question: Question, as: CallerName | undefined): Promise<Answer> {
    application.begin();
    return ask(port, question, as === undefined ? undefined : callers[as]);
  }
});

function shown(value: string | undefined): string {
  return value === undefined ? "none" : JSON.stringify(value);
}

async function callerOf(ca: MeshCa, serviceAccount: string): Promise<Caller> {
  const [own, trust] = await ca.secrets(`spiffe://cluster.local/ns/shop/sa/${serviceAccount}`);
  return { key: own.key, cert: own.chain, ca: trust.roots };
}

function portsOf(portOf: (listener: ListenerName) => number): Record<ListenerName, number> {
  return { open: portOf("open"), guarded: portOf("guarded"), secured: portOf("secured") };
}

/** Our proxy, which follows the server at `socket` as a sidecar does, once it has taken the configuration. */
async function startOurs(harness: Harness, socket: string): Promise<Sidecar> {
  const stop = new AbortController();
  const sidecar = testSidecar({ destination: () => undefined });
  harness.atEnd(() => sidecar.drain());
  const source = createXdsSource({
    socket,
    node: node(labels("shop", "web")),
    clock,
    random: Math.random,
    log: silentLog,
  });
  await new Promise<void>((resolve, reject) => {
    const following = sidecar.follow(source, stop.signal, resolve);
    following.catch(reject);
    harness.atEnd(async () => {
      stop.abort();
      await following;
    });
  });
  return sidecar;
}
