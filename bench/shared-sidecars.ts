/**
 * What does each further pod cost the workers of a node in shared mode? A part of sidecar-memory.
 *
 * The shop on one host, and beside it pods that do nothing: each has a configuration of the shop's services, certificates,
 * listeners and admin sockets. What the workers hold more than with the shop alone, divided by the number of pods.
 */

import { setTimeout as delay } from "node:timers/promises";
import { present } from "../src/base/error.ts";
import { startLab, type TestLab } from "../test/lab.ts";
import { round } from "./figures.ts";
import { memoryOf } from "./process-memory.ts";

const counts = [1, 10, 50, 100] as const;
/** The shop's traffic makes heaps grow for a while, whoever comes. */
const shopSettlesMs = 20_000;

export interface SharedMemory {
  /** With the shop alone. */
  readonly pods: number;
  readonly workers: number;
  readonly residentMb: number;
  /** For each number of further pods, what one of them costs. */
  readonly growth: readonly { readonly n: number; readonly value: number }[];
}

export async function sharedMemory(): Promise<SharedMemory> {
  await using lab = await startLab({ nodes: 1, sidecarMode: "shared" });
  await delay(shopSettlesMs);
  const before = await workersMemory(lab);
  const growth: { n: number; value: number }[] = [];
  for (const n of counts) {
    await lab.apply(idlePods(n));
    await lab.until(
      `${n} more pods`,
      async () => {
        const pods = await lab.pods("idle-");
        return pods.length === n && pods.every(({ ready, sidecar }) => ready && sidecar);
      },
      120_000,
    );
    const { residentMb } = await workersMemory(lab);
    growth.push({ n, value: round((residentMb - before.residentMb) / n) });
  }
  return { ...before, residentMb: round(before.residentMb), growth };
}

async function workersMemory(lab: TestLab): Promise<Omit<SharedMemory, "growth">> {
  await delay(3_000); // as long as a collector may take to give back what starting has left
  const pods = (await lab.status()).pods.filter(({ worker }) => worker !== undefined);
  const workers = new Set(pods.map(({ sidecar }) => present(sidecar, "process of a sidecar")));
  const residents = [...workers].map((pid) => memoryOf(pid).residentMb);
  return {
    pods: pods.length,
    workers: workers.size,
    residentMb: residents.reduce((sum, each) => sum + each, 0),
  };
}

function idlePods(replicas: number): string {
  return `
apiVersion: apps/v1
kind: Deployment
metadata: { name: idle, namespace: shop }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: idle } }
  template:
    metadata: { labels: { app: idle } }
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{ name: idle, image: "curlimages/curl:8.16.0", command: [sleep, infinity] }]
`;
}
