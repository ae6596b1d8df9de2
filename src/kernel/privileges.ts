/** Giving up root: the last thing that a sidecar does before it serves. */

import { MeshError } from "../base/error.ts";

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
