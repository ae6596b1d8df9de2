/**
 * The C functions that Node does not offer, bound once and typed: libc's sockets, namespaces and mounts.
 *
 * Each wrapper is the system call with its own argument order; a negative result becomes a SystemCallError that
 * carries errno. A call costs about 0.4 µs beyond the kernel's work. Libraries are opened on first use, so importing
 * this module costs nothing: the sidecar never touches libnftables.
 *
 * Not here: what the calls are for. Netlink's protocol is in netlink-socket.ts, nftables in nftables.ts.
 */

import { closeSync } from "node:fs";
import { getSystemErrorMap } from "node:util";
import koffi, { type LibraryHandle } from "koffi";
import { MeshError } from "../base/error.ts";

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_DGRAM_CLOEXEC: number = 2 | 0o2000000;
export const SOCK_RAW_CLOEXEC: number = 3 | 0o2000000;
export const SOL_SOCKET = 1;
export const SOL_NETLINK = 270;
export const CLONE_NEWNET = 0x40000000;
export const MSG_PEEK = 0x02;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

/** A system call that the kernel refused. */
export class SystemCallError extends Error {
  readonly errno: number;
  /** `EEXIST` and the like. */
  readonly errnoName: string;

  constructor(errno: number, more?: string) {
    const [name, text] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, "unknown error"];
    super(more === undefined ? `${text} (${name})` : `${text} (${name}): ${more}`);
    this.name = "SystemCallError";
    this.errno = errno;
    this.errnoName = name;
  }
}

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EAGAIN = 11;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const EOPNOTSUPP = 95;
export const EADDRNOTAVAIL = 99;
export const ENOBUFS = 105;

export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array): void;
  send(fd: number, bytes: Uint8Array): void;
  /** The same on a thread of Node's pool. Errors are not told: ask the kernel for what should have come of it. */
  sendInBackground(fd: number, bytes: Uint8Array, done: () => void): void;
  sendTo(fd: number, bytes: Uint8Array, address: Uint8Array): void;
  /** The datagram's length; `from` receives its sender. */
  recvFrom(fd: number, buffer: Uint8Array, from: Uint8Array): number;
  /** The socket's own address, into `address`. */
  getsockname(fd: number, address: Uint8Array): void;
  /** The datagram's length, which with MSG_TRUNC may exceed the buffer. */
  recv(fd: number, buffer: Uint8Array, flags: number): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): void;
  /** False where the kernel has no answer. `length` holds the buffer's size and receives the value's. */
  getsockopt(
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    length: Uint8Array,
  ): boolean;
  setns(fd: number, kind: number): void;
  unshare(kind: number): void;
  /** The calling thread keeps its permitted capabilities when its user changes. */
  keepCapabilities(): void;
  /** Those of the calling thread, permitted and in effect; all below 32. None is inherited by what it executes. */
  setCapabilities(bits: number): void;
  mount(source: string, target: string, flags: number): void;
  unmount(target: string, flags: number): void;
  closeOnExec(fd: number): void;
  keepOnExec(fd: number): void;
  /** `address`: where a range of this process's memory begins. */
  madvise(address: number, bytes: number, advice: number): void;
  /** Gives the kernel whole pages of the C library's heaps that nobody has. */
  trimHeaps(): void;
  pidfdOpen(pid: number): number;
  /** A descriptor of this process for what another has as `fd`; closed on exec. */
  pidfdGetfd(pidfd: number, fd: number): number;
  /** A file in memory. */
  memfd(name: string): number;
  /** Runs `action` while signals are left to the process's other threads. */
  undisturbed<T>(action: () => T): T;
  close(fd: number): void;
}

export const libc: () => Libc = once(bindLibc);

/** Opens a shared library; where it is missing the error names the Debian package that has it. */
export function loadLibrary(file: string, debianPackage: string): LibraryHandle {
  try {
    return koffi.load(file);
  } catch (cause) {
    throw new MeshError(
      "kernel.library.absent",
      `load ${file}: install the Debian package ${debianPackage}`,
      { cause, fault: "host" },
    );
  }
}

/** Makes a value on first use and keeps it. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function bindLibc(): Libc {
  const library = loadLibrary("libc.so.6", "libc6");
  const socket = library.func("int socket(int, int, int)");
  const bind = library.func("int bind(int, const void *, uint32_t)");
  const send = library.func("int64_t send(int, const void *, size_t, int)");
  const recv = library.func("int64_t recv(int, void *, size_t, int)");
  const syscall = library.func("long syscall(long, long, long, long)");
  const sendto = library.func(
    "int64_t sendto(int, const void *, size_t, int, const void *, uint32_t)",
  );
  const recvfrom = library.func("int64_t recvfrom(int, void *, size_t, int, void *, void *)");
  const getsockname = library.func("int getsockname(int, void *, void *)");
  const setsockopt = library.func("int setsockopt(int, int, int, const void *, uint32_t)");
  const getsockopt = library.func("int getsockopt(int, int, int, void *, void *)");
  const setns = library.func("int setns(int, int)");
  const unshare = library.func("int unshare(int)");
  const prctl = library.func("int prctl(int, unsigned long, long, long, long)");
  const capset = library.func("int capset(const void *, const void *)");
  const mount = library.func(
    "int mount(const char *, const char *, const char *, unsigned long, const void *)",
  );
  const unmount = library.func("int umount2(const char *, int)");
  const memfd = library.func("int memfd_create(const char *, unsigned int)");
  const madvise = library.func("int madvise(uintptr_t, size_t, int)");
  const mallocTrim = library.func("int malloc_trim(size_t)");
  const fcntl = library.func("int fcntl(int, int, int)");
  const sigmask = library.func("int pthread_sigmask(int, const void *, void *)");
  return {
    socket: (domain, type, protocol) => checked(socket(domain, type, protocol)),
    bind: (fd, address) => void checked(bind(fd, address, address.length)),
    send: (fd, bytes) => void checked(send(fd, bytes, bytes.length, 0)),
    sendInBackground: (fd, bytes, done) => send.async(fd, bytes, bytes.length, 0, () => done()),
    sendTo: (fd, bytes, address) =>
      void checked(sendto(fd, bytes, bytes.length, 0, address, address.length)),
    recvFrom: (fd, buffer, from) =>
      checked(recvfrom(fd, buffer, buffer.length, 0, from, lengthOf(from))),
    getsockname: (fd, address) => void checked(getsockname(fd, address, lengthOf(address))),
    recv: (fd, buffer, flags) => checked(recv(fd, buffer, buffer.length, flags)),
    setsockopt: (fd, level, name, value) =>
      void checked(setsockopt(fd, level, name, value, value.length)),
    getsockopt: (fd, level, name, value, length) =>
      getsockopt(fd, level, name, value, length) === 0,
    setns: (fd, kind) => void checked(setns(fd, kind)),
    unshare: (kind) => void checked(unshare(kind)),
    keepCapabilities: () => void checked(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)),
    setCapabilities(bits) {
      const header = Uint32Array.of(_LINUX_CAPABILITY_VERSION_3, 0);
      // Effective, permitted, inheritable; then the same of the capabilities from 32 on.
      const sets = Uint32Array.of(bits, bits, 0, 0, 0, 0);
      checked(capset(header, sets));
    },
    mount: (source, target, flags) => void checked(mount(source, target, "none", flags, null)),
    unmount: (target, flags) => void checked(unmount(target, flags)),
    pidfdOpen: (pid) => checked(Number(syscall(SYS_pidfd_open, pid, 0, 0))),
    pidfdGetfd: (pidfd, fd) => checked(Number(syscall(SYS_pidfd_getfd, pidfd, fd, 0))),
    closeOnExec: (fd) => void checked(fcntl(fd, F_SETFD, FD_CLOEXEC)),
    keepOnExec: (fd) => void checked(fcntl(fd, F_SETFD, 0)),
    madvise: (address, bytes, advice) => void checked(madvise(address, bytes, advice)),
    trimHeaps: () => void mallocTrim(0),
    memfd: (name) => checked(memfd(name, MFD_CLOEXEC)),
    undisturbed: (action) => {
      const before = new Uint8Array(sigsetBytes);
      sigmask(SIG_SETMASK, new Uint8Array(sigsetBytes).fill(0xff), before);
      try {
        return action();
      } finally {
        sigmask(SIG_SETMASK, before, null);
      }
    },
    close: closeSync,
  };
}

/** The same on every architecture; glibc has had names for them only since 2.36. */
const SYS_pidfd_open = 434;
const SYS_pidfd_getfd = 438;
const SIG_SETMASK = 2;
const sigsetBytes = 128;
const PR_SET_KEEPCAPS = 8;
const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const MFD_CLOEXEC = 1;

/** A `socklen_t` to hand in and get back. */
function lengthOf(buffer: Uint8Array): Uint8Array {
  return Uint8Array.of(buffer.length, 0, 0, 0);
}

function checked(result: number): number {
  if (result < 0) throw new SystemCallError(koffi.errno());
  return result;
}
