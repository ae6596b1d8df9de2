/**
 * Sockets in the network namespaces of many pods, made by one thread that belongs to none of them.
 *
 * A socket stays in the namespace that the thread was in when it was made, so it is enough to be there for that moment.
 * Listening sockets are made here, by system calls, and handed over as descriptors: Node would defer theirs
 * (`listen(port, host)` resolves the host first). Connected ones are Node's, which makes them in the tick after
 * `connect` with an address: the thread enters in the tick before and leaves in the tick after, with no code of anybody
 * else between. Both ways together cost 3 µs.
 *
 * The thread's home is to have no network (`leaveNetwork`): whatever is forgotten here then reaches nothing, rather
 * than the node's network or another pod's.
 */

import { MeshError } from "../base/error.ts";
import { familyOf, type IpFamily } from "../base/ip.ts";
import { AF_INET, AF_INET6, libc, SOL_SOCKET } from "./ffi.ts";
import { inNetnsOf, openNetns, openOwnNetns, visitsTo } from "./netns.ts";
import { socketAddress } from "./socket-address.ts";

export interface NetnsSockets {
  /** The descriptor of a TCP socket that is bound and does not listen yet. Throws MeshError `kernel.socket.bind`. */
  bind(address: string, port: number): number;
  /** Runs `connect`, in which Node is asked to connect to an address, and returns what it returns. */
  connecting<S>(connect: () => S): S;
  /** Lets go of the namespace; what is made afterwards reaches nothing. */
  close(): void;
}

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SO_REUSEADDR = 2;
const families: Readonly<Record<IpFamily, number>> = { IPv4: AF_INET, IPv6: AF_INET6 };

/** For the calling thread, which must be at home now. Answers who opens the sockets of the namespace at a path. */
export function socketsByNetns(): (path: string) => NetnsSockets {
  const home = openOwnNetns();
  return (path) => {
    const netns = openNetns(path);
    const visits = visitsTo(netns, home);
    let isOpen = true;
    let isAway = false;
    // A descriptor that is closed may be another pod's by now.
    const enter = () => {
      isAway = isOpen && visits.enter();
    };
    const leave = () => {
      if (isAway) visits.leave();
      isAway = false;
    };
    return {
      bind(address, port) {
        const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
        const domain = families[familyOf(address)];
        const fd = inNetnsOf(netns, path, () => libc().socket(domain, type, 0));
        try {
          libc().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, Uint8Array.of(1, 0, 0, 0));
          libc().bind(fd, socketAddress(address, port));
          return fd;
        } catch (cause) {
          libc().close(fd);
          throw new MeshError("kernel.socket.bind", `bind ${address}:${port} in ${path}`, {
            cause,
            fault: "host",
          });
        }
      },
      connecting(connect) {
        process.nextTick(enter);
        try {
          return connect();
        } finally {
          process.nextTick(leave);
        }
      },
      close() {
        if (isOpen) libc().close(netns);
        isOpen = false;
      },
    };
  };
}
