/**
 * A lab with one service for each scenario and a client for it, and what their sidecars counted in each half of a run.
 *
 * The scenarios of a lab run at the same time: service is sleep, so they do not take each other's processor. Sidecars,
 * servers and clients get real-time priority, so that what else runs on the machine does not take theirs: what is judged
 * is the model, not the machine's load.
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Pod } from "../../src/api/k8s/core.ts";
import { present } from "../../src/base/error.ts";
import { fetchWorld } from "../../src/cli/explain.ts";
import { deploymentOf } from "../../src/core/forecast/in-force.ts";
import type { ServiceWindow } from "../../src/core/forecast/window.ts";
import { objectKey, objectsOf, type World } from "../../src/core/registry/world.ts";
import { Readings } from "../../src/core/traffic/increase.ts";
import { getText } from "../../src/lab/ask-socket.ts";
import { mustRun } from "../../src/lab/command.ts";
import { loadFromPod } from "../../src/lab/load/load.ts";
import type { LoadReport } from "../../src/lab/load/report.ts";
import { hostPaths, type LabPaths, labPaths } from "../../src/lab/names.ts";
import { readPodRecords } from "../../src/lab/pods/pod-record.ts";
import type { SidecarObservation } from "../../src/model/observation.ts";
import { projectRoot, startLab, type TestLab } from "../../test/lab.ts";
import type { Observed } from "./deviation.ts";

export interface Scenario {
  /** `exponential` or `deterministic`. */
  readonly service: string;
  readonly serviceMs: number;
  readonly replicas: number;
  readonly utilisation: number;
}

export interface QueueingLab {
  /** Runs all scenarios at once, each half for so many seconds after a warm-up. */
  run(halfSeconds: number): Promise<readonly Observed[]>;
}

/** Six clients begin at once, each with a burst of what was due while it started; a queue at 0.7 needs seconds to forget it. */
const warmUpSeconds = 10;
/** Clients do not start at the same moment; each goes on until all have been measured. */
const slackSeconds = 3;

export async function withQueueingLab(
  scenarios: readonly Scenario[],
  use: (lab: QueueingLab) => Promise<void>,
): Promise<void> {
  const file = join(projectRoot, "build", "test", `queueing-${process.pid}.yaml`);
  await writeFile(file, scenarios.map(manifestOf).join("---\n"));
  await using lab = await startLab({ files: [file] });
  const { pods } = await lab.status();
  const served = pods.flatMap(({ sidecar, containers }) => [
    ...(sidecar === undefined ? [] : [sidecar]),
    ...containers.map(({ pid }) => pid),
  ]);
  // This process last: the clients that it starts inherit what it has.
  for (const pid of [...served, process.pid])
    await mustRun(["chrt", "--all-tasks", "--rr", "--pid", "1", String(pid)]);
  const world = await fetchWorld(lab.connection.client);
  const prepared = {
    lab,
    paths: labPaths(lab.name, lab.base),
    world,
    pods: objectsOf<Pod>(world, "Pod"),
  };
  await use({ run: (halfSeconds) => runOnce(prepared, scenarios, halfSeconds) });
}

interface Prepared {
  readonly lab: TestLab;
  readonly paths: LabPaths;
  readonly world: World;
  readonly pods: readonly Pod[];
}

async function runOnce(
  prepared: Prepared,
  scenarios: readonly Scenario[],
  halfSeconds: number,
): Promise<Observed[]> {
  const { lab, world } = prepared;
  const readings = new LabReadings(prepared);
  await readings.advance();
  const seconds = warmUpSeconds + 2 * halfSeconds;
  const loads = scenarios.map((scenario) => load(prepared, scenario, seconds + slackSeconds));
  await untilAllAsk(lab, scenarios, readings);
  const from = performance.now();
  const at = async (after: number): Promise<ServiceWindow> => {
    await delay(from + after * 1000 - performance.now());
    return readings.advance();
  };
  await at(warmUpSeconds);
  const first = await at(warmUpSeconds + halfSeconds);
  const second = await at(seconds);
  const reports = await Promise.all(loads);
  return scenarios.map((scenario, i): Observed => {
    const name = nameOf(scenario);
    const deployment = deploymentOf(world, "default", name, new Set([`default/client-${name}`]));
    const report = reports[i];
    if (deployment === undefined || report === undefined) throw new Error(`${name} is not there`);
    if (Object.keys(report.failures).length > 0)
      throw new Error(`${name}: requests failed: ${JSON.stringify(report.failures)}`);
    const inSecond = (due: number): boolean =>
      report.startedAt + due >= second.from && report.startedAt + due < second.to;
    return {
      name,
      deployment,
      first: of(first, `default/${name}`),
      second: of(second, `default/${name}`),
      client: report.samples.filter(([due]) => inSecond(due)).map(([, ms]) => ms),
    };
  });
}

async function untilAllAsk(
  lab: TestLab,
  scenarios: readonly Scenario[],
  readings: LabReadings,
): Promise<void> {
  const silent = new Set(scenarios.map((scenario) => `default/${nameOf(scenario)}`));
  await lab.until(
    "every client asks",
    async () => {
      for (const { destination } of (await readings.advance()).edges) silent.delete(destination);
      return silent.size === 0;
    },
    120_000,
  );
}

function of(window: ServiceWindow, service: string): ServiceWindow {
  return {
    ...window,
    serving: window.serving.filter((counts) => counts.service === service),
    edges: window.edges.filter(({ destination }) => destination === service),
  };
}

/** By the records of the lab, not by its server: that has to wait for the processor as everybody has. */
function load({ paths, pods }: Prepared, scenario: Scenario, seconds: number): Promise<LoadReport> {
  const name = nameOf(scenario);
  const pod = pods.find(({ metadata }) => metadata.name === `client-${name}`);
  const { replicas, utilisation, serviceMs } = scenario;
  return loadFromPod(paths, present(pod, `the client of ${name}`), {
    url: `http://${name}/`,
    requestsPerSecond: (1000 * replicas * utilisation) / serviceMs,
    seconds,
    isPoisson: true,
  });
}

/** What all sidecars of the lab counted since the last reading. */
class LabReadings {
  readonly #readings = new Readings(Date.now());
  readonly #sockets: ReadonlyMap<string, string>;
  #last = Date.now();

  constructor({ paths, pods }: Prepared) {
    const names = new Map(pods.map((pod) => [pod.metadata.uid, objectKey(pod)]));
    this.#sockets = new Map(
      readPodRecords(paths.pods).map(({ uid, node, containerId }) => {
        const { run } = hostPaths(paths, Number(/\d+$/.exec(node)?.[0]));
        return [names.get(uid) ?? uid, join(run, "pods", containerId, "admin.sock")];
      }),
    );
  }

  async advance(): Promise<ServiceWindow> {
    const from = this.#last;
    this.#last = Date.now();
    const increases = await Promise.all(
      [...this.#sockets].map(async ([pod, socket]) => {
        const answer = await getText(socket, "/heddle/observation");
        return this.#readings.advance(pod, JSON.parse(answer) as SidecarObservation);
      }),
    );
    return {
      from,
      to: this.#last,
      serving: increases.flatMap(({ serving }) => serving),
      edges: increases.flatMap(({ edges }) => edges),
    };
  }
}

function nameOf({ service, replicas, utilisation }: Scenario): string {
  return `${service}-${replicas}-${Math.round(100 * utilisation)}`;
}

function manifestOf(scenario: Scenario): string {
  const { service, serviceMs, replicas } = scenario;
  const name = nameOf(scenario);
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client-${name} }
spec:
  terminationGracePeriodSeconds: 0
  containers: [{ name: client, image: "curlimages/curl:8.16.0", command: [sleep, infinity] }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: server
          image: heddle.dev/queueing-service:1
          env:
            - { name: SERVICE_MS, value: "${serviceMs}" }
            - { name: SERVICE_DIST, value: ${service} }
          readinessProbe: { httpGet: { path: /healthz, port: 8080 } }
`;
}
