/**
 * When a container is ready: when its readiness probe passes, or, without one, when it listens on the ports it
 * declares.
 *
 * Listening is read from the kernel's socket tables (no connection is made, so nothing is captured, counted or refused
 * by policy). HTTP probes are asked over the pod's own loopback, which capture leaves alone.
 */

import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Container, Probe } from "../../api/k8s/core.ts";
import { runCommand } from "../command.ts";

/** Where to look: the network namespace of the pod, and a process that lives in it. */
export interface ProbeTarget {
  readonly netns: string;
  readonly pid: number;
}

const firstPauseMs = 10;
const longestPauseMs = 250; // while not ready yet: a pod that takes long to start is seen at most this much later
const failuresUntilUnready = 3; // the kubelet's default failureThreshold

/**
 * Calls `report` each time readiness changes, until aborted. Without a probe a container stays ready once it listens:
 * when it dies, its process says so.
 */
export async function watchReadiness(
  container: Container,
  target: ProbeTarget,
  report: (ready: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  const check = checkOf(container);
  if (check === undefined) {
    report(true);
    return;
  }
  let ready = false;
  let failures = 0;
  let pauseMs = firstPauseMs;
  while (!signal.aborted) {
    const passes = await check(target);
    if (signal.aborted) return;
    failures = passes ? 0 : failures + 1;
    if (passes !== ready && (passes || failures >= failuresUntilUnready)) {
      ready = passes;
      report(ready);
      if (ready && container.readinessProbe === undefined) return;
      pauseMs = firstPauseMs;
    }
    const wait = ready ? (container.readinessProbe?.periodSeconds ?? 10) * 1000 : pauseMs;
    pauseMs = Math.min(longestPauseMs, pauseMs * 1.5);
    await delay(wait, undefined, { signal }).catch(() => {});
  }
}

type Check = (target: ProbeTarget) => boolean | Promise<boolean>;

function checkOf(container: Container): Check | undefined {
  const probe = container.readinessProbe;
  if (probe?.httpGet !== undefined) {
    const { path = "/", port } = probe.httpGet;
    const url = `http://127.0.0.1:${portNumber(container, port)}${path}`;
    return ({ netns }) => answers(netns, url);
  }
  const ports = portsToListen(container, probe);
  return ports.length === 0 ? undefined : ({ pid }) => listens(pid, ports);
}

function portsToListen(container: Container, probe: Probe | undefined): number[] {
  if (probe?.tcpSocket !== undefined) return [portNumber(container, probe.tcpSocket.port)];
  return (container.ports ?? [])
    .filter(({ protocol = "TCP" }) => protocol === "TCP")
    .map(({ containerPort }) => containerPort);
}

function portNumber(container: Container, port: number | string): number {
  if (typeof port === "number") return port;
  return container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port);
}

async function answers(netns: string, url: string): Promise<boolean> {
  const curl = ["curl", "--silent", "--fail", "--max-time", "1", "--output", "/dev/null", url];
  const result = await runCommand(["nsenter", `--net=${netns}`, "--", ...curl]);
  return result.code === 0;
}

const stateListen = "0A"; // TCP_LISTEN in /proc/net/tcp

function listens(pid: number, ports: readonly number[]): boolean {
  const open = new Set<number>();
  for (const table of ["tcp", "tcp6"]) {
    let text: string;
    try {
      text = readFileSync(`/proc/${pid}/net/${table}`, "latin1");
    } catch {
      continue;
    }
    for (const line of text.split("\n").slice(1)) {
      const [, local = "", , state] = line.trim().split(/\s+/);
      if (state === stateListen) open.add(Number.parseInt(local.slice(local.indexOf(":") + 1), 16));
    }
  }
  return ports.every((port) => open.has(port));
}
