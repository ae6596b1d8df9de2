/**
 * Where programs are attached, and how long they stay.
 *
 * | to | lives | replaced |
 * | --- | --- | --- |
 * | a link of the network, either direction (tcx, Linux 6.6) | until detached, or with the link; survives its loader | atomically: each packet meets the old or the new one |
 * | a cgroup, with a descriptor | while the descriptor is open: ends with its holder | by attaching the next before closing |
 * | a map of sockets (`sk_msg`) | until detached, or with the map | by attaching the next |
 *
 * A link's programs run one after the other while they answer "next" (-1); ours are told from others' by their names,
 * of which the kernel keeps 15 characters. Others' stay where they are. Why tcx and not the older clsact: it makes no
 * queueing discipline that somebody else could also use, delete or wait for.
 */

import { closeSync } from "node:fs";
import { MeshError } from "../../base/error.ts";
import { ENODEV, ENOENT, SystemCallError } from "../ffi.ts";
import { libbpf } from "./libbpf.ts";

export type Direction = "ingress" | "egress";

const tcx: Readonly<Record<Direction, number>> = { ingress: 46, egress: 47 };
const BPF_CGROUP_SOCK_OPS = 3;
const BPF_SK_MSG_VERDICT = 7;
const programInfoBytes = 80;
const programNameOffset = 64;
const longestName = 15;

/** A link of the thread's present network namespace, by index. */
export interface LinkHook {
  readonly linkIndex: number;
  readonly direction: Direction;
}

/** Attaches `program`, in place of one of the same name if there is one. */
export function attachToLink(hook: LinkHook, name: string, program: number): void {
  const type = tcx[hook.direction];
  doing(`attach ${name} to ${hook.direction} of link ${hook.linkIndex}`, () => {
    // The kernel refuses to replace a program by itself.
    if (idsOn(hook).includes(programId(program))) return;
    const present = namedProgram(hook, name);
    try {
      libbpf().attach(program, hook.linkIndex, type, present);
    } finally {
      if (present !== undefined) closeSync(present);
    }
  });
}

/** Detaching what is absent is success. */
export function detachFromLink(hook: LinkHook, name: string): void {
  doing(`detach ${name} from ${hook.direction} of link ${hook.linkIndex}`, () => {
    const present = namedProgram(hook, name);
    if (present === undefined) return;
    try {
      libbpf().detach(present, hook.linkIndex, tcx[hook.direction]);
    } finally {
      closeSync(present);
    }
  });
}

/**
 * Kernel ids of the programs of that name that a link has: what tells one loading of a program from the next. None
 * where the link is gone.
 */
export function attachedTo(hook: LinkHook, name: string): readonly number[] {
  return programsOn(hook).flatMap((each) =>
    each.name === name.slice(0, longestName) ? [each.id] : [],
  );
}

export interface AttachedProgram {
  /** The kernel's. */
  readonly id: number;
  /** Its first 15 characters. */
  readonly name: string;
}

/** Everybody's programs that a link has, in the order in which they run; none where the link is gone. */
export function programsOn(hook: LinkHook): readonly AttachedProgram[] {
  return doing(`list what is attached to ${hook.direction} of link ${hook.linkIndex}`, () =>
    idsOn(hook).flatMap((id) => {
      const name = nameOfId(id);
      return name === undefined ? [] : [{ id, name }];
    }),
  );
}

function idsOn({ linkIndex, direction }: LinkHook): readonly number[] {
  try {
    return libbpf().query(linkIndex, tcx[direction]);
  } catch (error) {
    if (error instanceof SystemCallError && error.errno === ENODEV) return [];
    throw error;
  }
}

/** The kernel's id of a loaded program. */
export function programId(program: number): number {
  return new DataView(programInfo(program).buffer).getUint32(4, true);
}

/** Attaches a `sock_ops` program to a cgroup; closing the descriptor that is returned detaches it. */
export function attachSockOps(cgroup: number, program: number): number {
  return doing("attach a sock_ops program to a cgroup", () =>
    libbpf().linkCreate(program, cgroup, BPF_CGROUP_SOCK_OPS),
  );
}

/** Attaches an `sk_msg` program to a map of sockets, in place of the one that is there. */
export function attachToSockets(map: number, program: number): void {
  doing("attach an sk_msg program to a map of sockets", () =>
    libbpf().attach(program, map, BPF_SK_MSG_VERDICT),
  );
}

/** A descriptor of the attached program of that name, for the caller to close. */
function namedProgram(hook: LinkHook, name: string): number | undefined {
  const [id] = attachedTo(hook, name);
  return id === undefined ? undefined : libbpf().programById(id);
}

/** Undefined where the program has gone since it was listed: others take theirs away when they like. */
function nameOfId(id: number): string | undefined {
  let fd: number;
  try {
    fd = libbpf().programById(id);
  } catch (error) {
    if (error instanceof SystemCallError && error.errno === ENOENT) return undefined;
    throw error;
  }
  try {
    return nameOf(fd);
  } finally {
    closeSync(fd);
  }
}

function nameOf(program: number): string {
  const name = programInfo(program).subarray(programNameOffset, programInfoBytes);
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}

/** The beginning of `struct bpf_prog_info`. */
function programInfo(program: number): Uint8Array<ArrayBuffer> {
  const info = new Uint8Array(programInfoBytes);
  libbpf().objectInfo(program, info);
  return info;
}

function doing<T>(description: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new MeshError("kernel.bpf.attach", description, { cause: error, fault: "host" });
  }
}
