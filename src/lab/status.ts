/**
 * What `lab status` says: hosts, pods and traffic of a lab, as one value for programs and as tables for people.
 *
 * Objects and traffic come from the server, process ids from the supervisor and the pods' records.
 */

import type { Node, Pod } from "../api/k8s/core.ts";
import { renderColumns } from "../cli/columns.ts";
import type { Connection } from "../cli/connection.ts";
import { edgesTable } from "../cli/top/tables.ts";
import { fetchGraph } from "../cli/top/views.ts";
import type { GraphEdge } from "../model/observation.ts";
import { type HostProcess, labProcesses } from "./control.ts";
import { dashboardUrl } from "./dashboard-relay.ts";
import type { LabPaths } from "./names.ts";
import { type PodRecord, readPodRecords } from "./pods/pod-record.ts";
import { isReady } from "./readiness-wait.ts";
import { type SidecarPlace, sidecarPlaces } from "./sidecar-places.ts";

export interface LabStatus {
  readonly name: string;
  readonly data: string;
  readonly adminSocket: string;
  /** Address of the dashboard with the token that signs in; undefined where it is off. */
  readonly dashboard?: string;
  /** Process id of the lab itself. */
  readonly supervisor: number;
  readonly server: HostProcess;
  readonly nodes: readonly (HostProcess & { readonly name: string; readonly ready: boolean })[];
  readonly pods: readonly PodStatus[];
  /** Of the last ten seconds. */
  readonly edges: readonly GraphEdge[];
}

export interface PodStatus {
  readonly name: string;
  readonly namespace: string;
  readonly node?: string;
  readonly ip?: string;
  readonly ready: boolean;
  readonly phase: string;
  readonly message?: string;
  readonly restarts: number;
  /** Path of the network namespace. */
  readonly netns?: string;
  readonly containerId?: string;
  readonly containers: readonly { readonly name: string; readonly pid: number }[];
  /** Process id of the sidecar. */
  readonly sidecar?: number;
  /** Name of the worker that the process is; undefined: it is the pod's alone. */
  readonly worker?: string;
}

export async function labStatus(
  paths: LabPaths,
  { client, transport }: Connection,
): Promise<LabStatus> {
  const [processes, nodes, pods, graph, places] = await Promise.all([
    labProcesses(paths),
    client.list<Node>("Node"),
    client.list<Pod>("Pod"),
    fetchGraph(transport, 10),
    sidecarPlaces(paths),
  ]);
  const records = new Map(readPodRecords(paths.pods).map((record) => [record.uid, record]));
  return {
    name: paths.name,
    data: paths.root,
    adminSocket: paths.adminSocket,
    ...(processes.dashboardPort === undefined
      ? {}
      : { dashboard: dashboardUrl(paths, processes.dashboardPort) }),
    supervisor: processes.supervisor,
    server: processes.server,
    nodes: processes.nodes.map((node) => ({
      ...node,
      ready: nodes.objects.some((one) => one.metadata.name === node.name && isNodeReady(one)),
    })),
    pods: pods.objects.map((pod) => {
      const record = records.get(pod.metadata.uid ?? "");
      return podStatus(pod, record, places.get(record?.containerId ?? ""));
    }),
    edges: graph.edges,
  };
}

function podStatus(
  pod: Pod,
  record: PodRecord | undefined,
  place: SidecarPlace | undefined,
): PodStatus {
  const { status, spec, metadata } = pod;
  const isEnding = metadata.deletionTimestamp !== undefined;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? "default",
    ...(spec.nodeName === undefined ? {} : { node: spec.nodeName }),
    ...(status?.podIP === undefined ? {} : { ip: status.podIP }),
    ready: isReady(pod) && !isEnding,
    phase: isEnding ? "Terminating" : (status?.phase ?? "Pending"),
    ...(typeof status?.message === "string" ? { message: status.message } : {}),
    restarts: (status?.containerStatuses ?? []).reduce((sum, one) => sum + one.restartCount, 0),
    ...(record === undefined ? {} : { netns: record.netns, containerId: record.containerId }),
    containers: (record?.containers ?? []).map(({ name, process }) => ({ name, pid: process.pid })),
    ...place,
  };
}

export function isNodeReady(node: Node): boolean {
  return node.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") ?? false;
}

/** The status for people. */
export function renderStatus(status: LabStatus): string {
  const nodes = status.nodes.map(({ name, address, pid, restarts, ready, netns }) => [
    name,
    ready ? "ready" : "not ready",
    address,
    pid === undefined ? "starting" : String(pid),
    String(restarts),
    netns,
  ]);
  const pods = status.pods.map((pod) => [
    pod.namespace,
    pod.name,
    pod.ready ? "ready" : pod.phase,
    pod.ip ?? "-",
    pod.node ?? "-",
    String(pod.restarts),
    pod.ready ? "" : (pod.message ?? ""),
  ]);
  return [
    `lab "${status.name}", data in ${status.data}`,
    ...(status.dashboard === undefined ? [] : [`dashboard  ${status.dashboard}`]),
    "",
    ...renderColumns([["NODE", "STATUS", "ADDRESS", "AGENT", "RESTARTS", "NAMESPACE"], ...nodes]),
    "",
    ...renderColumns([["NAMESPACE", "POD", "STATUS", "ADDRESS", "NODE", "RESTARTS", ""], ...pods]),
    "",
    ...edgesTable(status.edges),
    "",
  ].join("\n");
}
