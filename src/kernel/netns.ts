/**
 * Network namespaces: visiting one, moving into one for good, making and deleting named ones.
 *
 * A namespace belongs to the calling thread, so a visit is synchronous: enter, run, return. What acts at once on the
 * calling thread may be started inside and keeps working after: sockets opened there, `child_process.spawn`,
 * `net.Server.listen(port)`. What Node defers does not: `listen(port, host)` resolves the host first, `fs` promises
 * and `dns.lookup` run on other threads, and code after an `await` runs when the thread is home again. A function
 * that returns a promise is therefore refused.
 *
 * A visit costs about 15 µs.
 */

import {
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { MeshError } from "../base/error.ts";
import {
  AF_INET,
  CLONE_NEWNET,
  EINVAL,
  ENOENT,
  libc,
  SOCK_DGRAM_CLOEXEC,
  SOL_SOCKET,
  SystemCallError,
} from "./ffi.ts";

const own = "/proc/thread-self/ns/net";
const MS_BIND = 4096;
const MNT_DETACH = 2;
const NSFS_MAGIC = 0x6e736673;

/** Runs `fn` with the calling thread in the namespace at `path`, synchronously, and returns what it returns. */
export function inNetns<T>(path: string, fn: () => T): T {
  const fd = openNetns(path);
  try {
    return inNetnsOf(fd, path, fn);
  } finally {
    closeSync(fd);
  }
}

/** Like `inNetns`, for a namespace that is held open as `fd`; `what` names it in errors. */
export function inNetnsOf<T>(fd: number, what: string, fn: () => T): T {
  const home = openSync(own, "r");
  try {
    enter(fd, what);
    try {
      const result = fn();
      if (result instanceof Promise) {
        throw new MeshError(
          "kernel.netns.asynchronous",
          `visit network namespace ${what}: what runs inside must not return a promise`,
        );
      }
      return result;
    } finally {
      returnHome(home);
    }
  } finally {
    closeSync(home);
  }
}

/** Moves the calling thread into the namespace at `path` for good. */
export function enterNetns(path: string): void {
  const fd = openNetns(path);
  try {
    enter(fd, path);
  } finally {
    closeSync(fd);
  }
}

/** Moves the calling thread for good into a namespace that has no link, not even loopback: it can reach nothing. */
export function leaveNetwork(): void {
  try {
    libc().unshare(CLONE_NEWNET);
  } catch (cause) {
    throw new MeshError("kernel.netns.create", "leave the node's network namespace", {
      cause,
      fault: "host",
    });
  }
}

/** Opens a namespace, to hold on to it or to hand it to the kernel; the caller closes it. */
export function openNetns(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new MeshError("kernel.netns.absent", `open network namespace ${path}`, {
      cause,
      fault: "host",
    });
  }
}

/** The calling thread's own namespace, opened; the caller closes it. */
export function openOwnNetns(): number {
  return openNetns(own);
}

/** Makes a network namespace and pins it at `path`, as `ip netns add` does below /run/netns. */
export function createNetns(path: string): void {
  const fail = (cause: unknown): MeshError =>
    new MeshError("kernel.netns.create", `create network namespace ${path}`, {
      cause,
      fault: "host",
    });
  try {
    mkdirSync(dirname(path), { recursive: true });
    // `wx`: a path that exists is somebody's.
    writeFileSync(path, "", { flag: "wx", mode: 0o444 });
  } catch (cause) {
    throw fail(cause);
  }
  const home = openSync(own, "r");
  try {
    libc().unshare(CLONE_NEWNET);
    try {
      libc().mount(own, path, MS_BIND);
    } finally {
      returnHome(home);
    }
  } catch (cause) {
    rmSync(path, { force: true });
    throw fail(cause);
  } finally {
    closeSync(home);
  }
}

/** Runs `fn`, synchronously, in a namespace that nobody else is in and that goes with the last socket opened there. */
export function inFreshNetns<T>(fn: () => T): T {
  const home = openSync(own, "r");
  try {
    libc().unshare(CLONE_NEWNET);
    try {
      return fn();
    } finally {
      returnHome(home);
    }
  } finally {
    closeSync(home);
  }
}

/** What a thread that is often elsewhere comes back to; see `visitsTo`. */
export interface Visits {
  /** False where the kernel refuses: the thread is then where it was. */
  enter(): boolean;
  leave(): void;
}

/** Entering the namespace that `netns` holds open and leaving it for the one that `home` does, in two steps. */
export function visitsTo(netns: number, home: number): Visits {
  return {
    enter() {
      try {
        libc().setns(netns, CLONE_NEWNET);
        return true;
      } catch {
        return false;
      }
    },
    leave: () => returnHome(home),
  };
}

/** Unpins a namespace: it goes with its last process and socket. Deleting an absent one is success. */
export function deleteNetns(path: string): void {
  try {
    libc().unmount(path, MNT_DETACH);
  } catch (error) {
    // EINVAL: a file that nothing is mounted on, as a creation that was interrupted leaves it.
    if (!(error instanceof SystemCallError) || ![ENOENT, EINVAL].includes(error.errno)) {
      throw new MeshError("kernel.netns.delete", `delete network namespace ${path}`, {
        cause: error,
        fault: "host",
      });
    }
  }
  rmSync(path, { force: true });
}

/** What tells a namespace from the others of now; undefined where there is none at `path`. */
export function netnsInode(path: string): number | undefined {
  try {
    return statfsSync(path).type === NSFS_MAGIC ? statSync(path).ino : undefined;
  } catch {
    return undefined;
  }
}

const SO_NETNS_COOKIE = 71; // Linux 5.14

/**
 * The kernel's own number of the namespace at `path`, which no other has until the next boot: inodes are used again
 * within seconds. Undefined where there is none at `path`, it cannot be entered, or the kernel does not tell.
 */
export function netnsCookie(path: string): string | undefined {
  const cookie = new BigUint64Array(1);
  const bytes = new Uint8Array(cookie.buffer);
  const ask = (): boolean => {
    const fd = libc().socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
    try {
      const length = Uint8Array.of(bytes.length, 0, 0, 0);
      return libc().getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, bytes, length);
    } finally {
      closeSync(fd);
    }
  };
  try {
    return inNetns(path, ask) ? String(cookie[0]) : undefined;
  } catch {
    return undefined;
  }
}

function enter(fd: number, what: string): void {
  try {
    libc().setns(fd, CLONE_NEWNET);
  } catch (cause) {
    const notOne = cause instanceof SystemCallError && cause.errno === EINVAL;
    throw new MeshError(
      notOne ? "kernel.netns.absent" : "kernel.netns.enter",
      `enter network namespace ${what}`,
      { cause, fault: "host" },
    );
  }
}

function returnHome(home: number): void {
  try {
    libc().setns(home, CLONE_NEWNET);
  } catch (error) {
    // Going on would apply the node's state to a pod. Nothing is safe but to stop here.
    process.stderr.write(`cannot return to the own network namespace: ${String(error)}\n`);
    process.abort();
  }
}
