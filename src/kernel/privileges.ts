/**
 * Giving up root: the last thing that a sidecar does before it serves.
 *
 * A process that serves many pods keeps three capabilities of its main thread, for each pod's sockets are made in the
 * pod's own namespace: CAP_SYS_ADMIN (`setns`), CAP_SYS_PTRACE (descriptors of a predecessor, namespaces by process)
 * and CAP_DAC_READ_SEARCH (namespaces below folders that are root's). Who takes such a process over is as good as root;
 * that is the price of the shared mode (docs/tasks/sidecar-modes.md).
 */

import { MeshError } from "../base/error.ts";
import { libc } from "./ffi.ts";

/**
 * Becomes user `uid` and group `gid`, with no other groups and hence no capabilities, on every thread of the process.
 * There is no way back.
 */
export function dropPrivileges(uid: number, gid: number): void {
  const { setgroups, setgid, setuid } = process;
  if (setgroups === undefined || setgid === undefined || setuid === undefined) {
    throw new MeshError("kernel.process.unsupported", `become user ${uid}: not a POSIX system`);
  }
  try {
    // In this order: once the user is not root, the groups can no longer be changed.
    setgroups([gid]);
    setgid(gid);
    setuid(uid);
  } catch (cause) {
    throw new MeshError("kernel.process.privileges", `become user ${uid} and group ${gid}`, {
      cause,
      fault: "host",
    });
  }
}

const CAP_DAC_READ_SEARCH = 2;
const CAP_SYS_PTRACE = 19;
const CAP_SYS_ADMIN = 21;
const visitorCapabilities = [CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN];

/** The same, but the calling thread keeps what it needs to enter namespaces. */
export function becomeVisitor(uid: number, gid: number): void {
  const bits = visitorCapabilities.reduce((all, bit) => all | (1 << bit), 0);
  try {
    libc().keepCapabilities();
    dropPrivileges(uid, gid);
    libc().setCapabilities(bits);
  } catch (cause) {
    if (cause instanceof MeshError) throw cause;
    throw new MeshError("kernel.process.privileges", `keep the right to enter namespaces`, {
      cause,
      fault: "host",
    });
  }
}
