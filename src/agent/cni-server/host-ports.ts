/**
 * Whether a pod may have the host ports that its runtime asks for: no other pod has them, and the node does not need
 * them itself. A port of all addresses and the same port of one address are the same port, as they are for sockets.
 */

import { familyOf } from "../../base/ip.ts";
import { type Attachment, type Encap, type HostPort, isAnyAddress } from "../../model/node-view.ts";
import { CniError, cniCodes } from "../../wire/cni/error.ts";

/** Throws CniError 102 naming the port and who has it, 7 for a request that asks for one twice. */
export function requireFreePorts(
  wanted: readonly HostPort[],
  attachments: readonly Attachment[],
  encap: Encap,
): void {
  for (const [index, port] of wanted.entries()) {
    const twin = wanted.slice(0, index).find((other) => isSame(other, port));
    if (twin !== undefined) {
      throw new CniError(
        cniCodes.invalidConfig,
        `publish host port ${renderPort(port)}: it is asked for twice`,
      );
    }
    const overlayPort = encap.kind === "none" ? undefined : encap.port;
    if (port.protocol === "UDP" && port.hostPort === overlayPort) {
      throw taken(port, "the overlay between nodes");
    }
    const owner = attachments.find((each) =>
      each.hostPorts?.some((other) => overlaps(other, port)),
    );
    if (owner !== undefined) {
      const { namespace, name, containerId } = owner;
      throw taken(port, `pod ${namespace}/${name} (container ${containerId})`);
    }
  }
}

function taken(port: HostPort, owner: string): CniError {
  return new CniError(
    cniCodes.hostPortTaken,
    `publish host port ${renderPort(port)}: ${owner} has it; want another port, or another address of the node`,
  );
}

function overlaps(a: HostPort, b: HostPort): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
  if (a.hostAddress === undefined || b.hostAddress === undefined) return true;
  if (familyOf(a.hostAddress) !== familyOf(b.hostAddress)) return false;
  const isAny = isAnyAddress(a.hostAddress) || isAnyAddress(b.hostAddress);
  return isAny || a.hostAddress === b.hostAddress;
}

/** Within one request an address may differ from all others: it is asked first. */
function isSame(a: HostPort, b: HostPort): boolean {
  return overlaps(a, b) && a.hostAddress === b.hostAddress;
}

function renderPort({ protocol, hostPort, hostAddress }: HostPort): string {
  const port = `${protocol.toLowerCase()}/${hostPort}`;
  return hostAddress === undefined ? port : `${hostAddress} ${port}`;
}
