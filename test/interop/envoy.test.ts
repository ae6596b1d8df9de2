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
import {
  clusterStatuses,
  configDump,
  listenerStatuses,
} from "../../src/proxy/observe/envoy-forms.ts";
import type { Sidecar } from "../../src/proxy/sidecar.ts";
import { Harness } from "../../src/proxy/testing/harness.ts";
import { createMeshCa, type MeshCa } from "../../src/proxy/testing/mesh-ca.ts";
import { encodeProxyConfig } from "../../src/wire/xds/proxy-config.ts";
import { type Application, startApplication } from "./envoy/application.ts";
import { type Answer, ask, type Caller, type Question } from "./envoy/asking.ts";
import { type CallerName, cases, type ListenerName } from "./envoy/cases.ts";
import { differencesOf } from "./envoy/comparison.ts";
import { configurationFor } from "./envoy/configuration.ts";
import { startControlPlane } from "./envoy/control-plane.ts";
import { EnvoyProcess, skipWithoutEnvoy } from "./envoy/envoy-process.ts";
import { unknownAndLeastRequest, withListedBalancer } from "./envoy/listed-balancer.ts";
import { startOurs } from "./envoy/our-sidecar.ts";
import { webCases } from "./envoy/web-cases.ts";

describe("Envoy and our proxy, told the same", { skip: skipWithoutEnvoy }, () => {
  const harness = new Harness();
  let application: Application;
  let ports: Record<"envoy" | "ours", Record<ListenerName, number>>;
  let callers: Record<CallerName, Caller>;
  let envoy: EnvoyProcess;
  let sidecar: Sidecar;

  before(async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-envoy-"));
    harness.atEnd(() => rmSync(folder, { recursive: true, force: true }));
    application = await startApplication(harness);
    const config = configurationFor({ ...application, dead: await harness.deadPort() });
    const resources = withListedBalancer(
      encodeProxyConfig(config),
      "other",
      unknownAndLeastRequest,
    );
    const socket = join(folder, "xds");
    const ca = await createMeshCa();
    const secrets = await ca.secrets("spiffe://cluster.local/ns/shop/sa/web");
    const control = await startControlPlane(socket, resources, secrets);
    harness.atEnd(() => control[Symbol.asyncDispose]());
    const running = EnvoyProcess.start(folder, socket);
    harness.atEnd(() => running[Symbol.asyncDispose]());
    envoy = running;
    callers = { web: await callerOf(ca, "web"), stranger: await callerOf(ca, "stranger") };
    const ours = await startOurs(harness, socket);
    sidecar = ours;
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

  for (const { name, to, as, question, differs = {} } of [...cases, ...webCases]) {
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

  test("tell the same of clusters, listeners and routes in /config_dump", async () => {
    // An Envoy cannot print the balancer of `other` that it does not know.
    const asked = [
      "dynamic_active_clusters&name_regex=[^o].*",
      "dynamic_listeners",
      "dynamic_route_configs",
    ];
    const parts = await Promise.all(
      asked.map((one) => envoy.admin(`/config_dump?resource=${one}`) as Promise<Dump>),
    );
    const ours = configDump(sidecar, false) as unknown as Dump;
    const all = toldIn(ours.configs.flatMap((one) => Object.values(one).flat() as Dumped[]));
    assert.ok(all.delete("type.googleapis.com/envoy.config.cluster.v3.Cluster other"));
    assert.deepEqual(all, toldIn(parts.flatMap(({ configs }) => configs as readonly Dumped[])));
    assert.ok(all.size > 10);
  });

  test("tell of the same clusters and listeners where tools ask for JSON", async () => {
    const clusters = (await envoy.admin("/clusters?format=json")) as Named;
    const named = ({ cluster_statuses: list = [], listener_statuses: other = [] }: Named) =>
      [...list, ...other].map(({ name }) => name).sort();
    const own = new Set(["control-plane", "sds-grpc"]);
    assert.deepEqual(
      named(clusterStatuses(sidecar) as Named),
      named(clusters).filter((name) => !own.has(name)),
    );
    const listeners = (await envoy.admin("/listeners?format=json")) as Named;
    assert.deepEqual(named(listenerStatuses(sidecar) as Named), named(listeners));
  });

  function fresh(port: number, question: Question, as: CallerName | undefined): Promise<Answer> {
    application.begin();
    return ask(port, question, as === undefined ? undefined : callers[as]);
  }
});

interface Named {
  readonly cluster_statuses?: readonly { readonly name: string }[];
  readonly listener_statuses?: readonly { readonly name: string }[];
}

type Resource = Readonly<Record<string, unknown>>;

interface Dump {
  readonly configs: readonly object[];
}

interface Dumped {
  readonly cluster?: Resource;
  readonly active_state?: { readonly listener: Resource };
  readonly route_config?: Resource;
}

/** Type and name → resource. */
function toldIn(dumped: readonly Dumped[]): Map<string, Resource> {
  const resources = dumped
    .map((one) => one.cluster ?? one.active_state?.listener ?? one.route_config)
    .filter((one) => one !== undefined)
    .map((one) => [`${one["@type"]} ${one["name"]}`, one] as const);
  return new Map(resources.sort(([a], [b]) => (a < b ? -1 : 1)));
}

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
