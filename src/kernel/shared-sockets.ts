/**
 * Sockets of another process, to go on with where it stops: both have the same kernel socket, so what waits in its
 * queue is read by one of them, and nothing is lost when either closes its own descriptor.
 *
 * The other one need not help, nor be alive for longer than the call (`pidfd_getfd`, Linux 5.6). It takes the right to
 * trace the process, which root has where a container's seccomp profile does not take it.
 */

import { closeSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { familyOf } from "../base/ip.ts";
import { ipBytes } from "../base/ip-bytes.ts";
import { libc, SystemCallError } from "./ffi.ts";

/** Descriptors of this process, closed on exec. */
export interface SharedSockets {
  readonly udp?: number;
  /** One that listens. */
  readonly tcp?: number;
}

const TCP_LISTEN = "0A";
const UDP_UNCONNECTED = "07";

/** Those of a process that are bound to an address and port; none where it has none, or may not be asked. */
export function shareSockets(pid: number, address: string, port: number): SharedSockets {
  try {
    const owner = libc().pidfdOpen(pid);
    try {
      const descriptors = socketsOf(pid);
      const share = (protocol: "udp" | "tcp", state: string) => {
        const found = boundSockets(pid, protocol, state, address, port)
          .map((inode) => descriptors.get(inode))
          .find((descriptor) => descriptor !== undefined);
        return found === undefined ? {} : { [protocol]: libc().pidfdGetfd(owner, found) };
      };
      return { ...share("udp", UDP_UNCONNECTED), ...share("tcp", TCP_LISTEN) };
    } finally {
      closeSync(owner);
    }
  } catch (error) {
    if (error instanceof SystemCallError || isSystemError(error)) return {};
    throw error;
  }
}

/** Inode → descriptor. */
function socketsOf(pid: number): ReadonlyMap<string, number> {
  const folder = `/proc/${pid}/fd`;
  return new Map(
    readdirSync(folder).flatMap((name) => {
      const inode = /^socket:\[(\d+)\]$/.exec(whatIs(`${folder}/${name}`))?.[1];
      return inode === undefined ? [] : [[inode, Number(name)] as const];
    }),
  );
}

/** Descriptors come and go while they are listed. */
function whatIs(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return "";
  }
}

/** Inodes of the sockets that the process's namespace has bound there. */
function boundSockets(
  pid: number,
  protocol: "udp" | "tcp",
  state: string,
  address: string,
  port: number,
): readonly string[] {
  const suffix = familyOf(address) === "IPv4" ? "" : "6";
  const wanted = `${procAddress(address)}:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync(`/proc/${pid}/net/${protocol}${suffix}`, "latin1")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1] === wanted && fields[3] === state)
    .flatMap((fields) => fields[9] ?? []);
}

/** As /proc shows it: words of four bytes in the machine's order, in capital hex digits. */
function procAddress(address: string): string {
  const bytes = ipBytes(address);
  let text = "";
  for (let word = 0; word < bytes.length; word += 4) {
    for (let i = word + 3; i >= word; i--) text += (bytes[i] ?? 0).toString(16).padStart(2, "0");
  }
  return text.toUpperCase();
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}
