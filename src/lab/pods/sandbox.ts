/**
 * A pod's network: its namespace, and the CNI executable that connects it. What a container runtime does.
 *
 * `connect` returns only when ADD has: no process of the pod runs before its policy is in force. The executable is the
 * production one, run as any runtime would run it, and told only where this host's agent listens.
 */

import { MeshError } from "../../base/error.ts";
import { runCommand } from "../command.ts";
import { createNetns, deleteNetns, netnsFile } from "../underlay.ts";

export interface SandboxSpec {
  /** Name of the namespace to make. */
  readonly netns: string;
  readonly containerId: string;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
}

export interface CniInstallation {
  /** The `heddle-cni` executable. */
  readonly executable: string;
  /** The agent's socket on this host. */
  readonly socket: string;
}

const networkConfig = JSON.stringify({ cniVersion: "1.0.0", name: "heddle", type: "heddle-cni" });

/** Makes the namespace and connects it; gives the pod's address. On failure nothing is left. */
export async function connectSandbox(spec: SandboxSpec, cni: CniInstallation): Promise<string> {
  await createNetns(spec.netns);
  try {
    const result = await runCni("ADD", spec, cni);
    const address = addressIn(result);
    if (address === undefined) {
      throw new MeshError("lab.cni.result", `CNI ADD gave no address: ${result.trim()}`);
    }
    return address;
  } catch (error) {
    await disconnectSandbox(spec, cni).catch(() => {}); // the first error is the one to tell
    throw error;
  }
}

/** CNI DEL, then the namespace goes. Both are done even where the other fails. */
export async function disconnectSandbox(spec: SandboxSpec, cni: CniInstallation): Promise<void> {
  const errors: unknown[] = [];
  await runCni("DEL", spec, cni).catch((error) => errors.push(error));
  await deleteNetns(spec.netns).catch((error) => errors.push(error));
  if (errors.length > 0) {
    throw new AggregateError(errors, `disconnect pod ${spec.namespace}/${spec.pod}`);
  }
}

async function runCni(command: "ADD" | "DEL", spec: SandboxSpec, cni: CniInstallation) {
  const result = await runCommand([cni.executable], {
    input: networkConfig,
    env: {
      PATH: process.env["PATH"],
      CNI_COMMAND: command,
      CNI_CONTAINERID: spec.containerId,
      CNI_NETNS: netnsFile(spec.netns),
      CNI_IFNAME: "eth0",
      CNI_PATH: cni.executable.slice(0, cni.executable.lastIndexOf("/")),
      CNI_ARGS: [
        "IgnoreUnknown=1",
        `K8S_POD_NAMESPACE=${spec.namespace}`,
        `K8S_POD_NAME=${spec.pod}`,
        `K8S_POD_UID=${spec.uid}`,
        `K8S_POD_INFRA_CONTAINER_ID=${spec.containerId}`,
      ].join(";"),
      HEDDLE_CNI_SOCKET: cni.socket,
    },
  });
  if (result.code !== 0) {
    throw new MeshError(
      "lab.cni.failed",
      `CNI ${command}: ${saidIn(result.stdout, result.stderr)}`,
    );
  }
  return result.stdout;
}

/** The message and details of a CNI error result. */
function saidIn(stdout: string, stderr: string): string {
  try {
    const { msg, details } = JSON.parse(stdout) as { msg?: string; details?: string };
    return [msg, details].filter((part) => part !== undefined && part !== "").join(": ");
  } catch {
    return (stdout.trim() || stderr.trim()).slice(0, 500) || "no reason given";
  }
}

function addressIn(result: string): string | undefined {
  const { ips } = JSON.parse(result) as { ips?: { address?: string }[] };
  return ips?.[0]?.address?.split("/")[0];
}
