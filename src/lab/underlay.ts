/**
 * The hosts and the wire between them, as network namespaces: a bridge in a namespace of its own, and one namespace
 * for each host with a veth into it. Nothing of it is in the namespace that the lab was started from.
 *
 * All labs use the same addresses: their underlays cannot see each other. The ranges are reserved for documentation, so
 * they never hide an address that somebody on this machine needs.
 */

import { mustRun } from "./command.ts";
import { controlNetns, hostNetns, netnsFolder, underlayNetns } from "./names.ts";

export interface LabHost {
  readonly netns: string;
  /** On the underlay. */
  readonly address: string;
  readonly address6: string;
}

export interface Underlay {
  /** Where the server runs. */
  readonly control: LabHost;
  /** Host `node-1` first. */
  readonly hosts: readonly LabHost[];
}

/** Most hosts of one lab: addresses .11 and up of a /24. */
export const mostHosts = 200;

export function underlayOf(lab: string, hosts: number): Underlay {
  return {
    control: { netns: controlNetns(lab), address: "192.0.2.1", address6: "2001:db8::1" },
    hosts: Array.from({ length: hosts }, (_, i) => ({
      netns: hostNetns(lab, i + 1),
      address: `192.0.2.${11 + i}`,
      address6: `2001:db8::${11 + i}`,
    })),
  };
}

/** Makes all namespaces and links. The caller sweeps what a failure leaves half done. */
export async function createUnderlay(lab: string, underlay: Underlay): Promise<void> {
  const wire = underlayNetns(lab);
  const hosts = [underlay.control, ...underlay.hosts];
  await createNetns(wire);
  for (const host of hosts) await createNetns(host.netns);
  await ipBatch(wire, [
    "link add br0 type bridge stp_state 0 forward_delay 0",
    "link set br0 up",
    // Both ends are made where they belong: no link is ever seen in the namespace of the caller.
    ...hosts.flatMap((host, i) => [
      `link add port${i} type veth peer name eth0 netns ${host.netns}`,
      `link set port${i} master br0 up`,
    ]),
  ]);
  for (const host of hosts) {
    await ipBatch(host.netns, [
      `address add ${host.address}/24 dev eth0`,
      `address add ${host.address6}/64 dev eth0 nodad`,
      "link set eth0 up",
    ]);
  }
}

/** A new network namespace with its loopback up. */
export async function createNetns(name: string): Promise<void> {
  await mustRun(["ip", "netns", "add", name]);
  await mustRun(["ip", "-n", name, "link", "set", "lo", "up"]);
}

export async function deleteNetns(name: string): Promise<void> {
  await mustRun(["ip", "netns", "delete", name]);
}

export function netnsFile(name: string): string {
  return `${netnsFolder}/${name}`;
}

async function ipBatch(netns: string, lines: readonly string[]): Promise<void> {
  await mustRun(["ip", "-n", netns, "-batch", "-"], { input: `${lines.join("\n")}\n` });
}
