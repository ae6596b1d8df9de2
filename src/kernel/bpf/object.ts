/**
 * Loads a compiled eBPF program (`build/bpf/<name>.o`, made at set-up from `<name>.bpf.c`) into the kernel.
 *
 * Spec is data, object is live: the file is the spec; what this returns is descriptors of programs and maps in the
 * kernel. Nothing is pinned to a file system, so nothing is left over: a program lives while a descriptor is open or
 * while it is attached, and its maps live with it. What is attached to a link of the network survives its loader that
 * way and goes with the link (attach.ts).
 *
 * Constants of the program (`const volatile`) are set before it is loaded: the verifier then removes the code that they
 * switch off. A program that is refused is told with the verifier's last words.
 */

import { MeshError } from "../../base/error.ts";
import { SystemCallError } from "../ffi.ts";
import { readCompiled } from "./compiled.ts";
import { libbpf, type Pointer } from "./libbpf.ts";
import { BpfMap } from "./map.ts";

const logBytes = 64 * 1024; // the end of a longer log is what the kernel keeps
const verifierWords = 600;

export interface LoadOptions {
  /** All bytes of `.rodata`, in the order in which the program declares its constants. */
  readonly constants?: Uint8Array;
  /** Maps that are to be used in place of new ones, by name. */
  readonly reuse?: ReadonlyMap<string, BpfMap>;
  /** Most entries of a map, by name, where it is to differ from what the program says. */
  readonly maxEntries?: ReadonlyMap<string, number>;
}

/** Loads what set-up compiled. Throws MeshError as `readCompiled` and `loadBpfObject` do. */
export function loadCompiled(name: string, options: LoadOptions = {}): BpfObject {
  return loadBpfObject(name, readCompiled(name), options);
}

/**
 * Loads all programs of an object file. Throws MeshError `kernel.bpf.refused` with the verifier's words, or
 * `kernel.library.absent`.
 */
export function loadBpfObject(
  name: string,
  bytes: Uint8Array,
  options: LoadOptions = {},
): BpfObject {
  const log = new Uint8Array(logBytes);
  let pointer: Pointer = null;
  try {
    pointer = libbpf().openObject(bytes);
    prepare(pointer, log, options);
    libbpf().loadObject(pointer);
    return new BpfObject(name, pointer);
  } catch (cause) {
    if (pointer !== null) libbpf().closeObject(pointer);
    if (!(cause instanceof SystemCallError)) throw cause;
    throw new MeshError("kernel.bpf.refused", `load eBPF program ${name}${lastWords(log)}`, {
      cause,
      fault: "host",
    });
  }
}

function prepare(object: Pointer, log: Uint8Array, options: LoadOptions): void {
  const { constants, reuse = new Map(), maxEntries = new Map() } = options;
  if (constants !== undefined) libbpf().setInitialValue(mapOf(object, ".rodata"), constants);
  for (const [name, { fd }] of reuse) libbpf().reuseMap(mapOf(object, name), fd);
  for (const [name, count] of maxEntries) libbpf().setMaxEntries(mapOf(object, name), count);
  for (let each = libbpf().nextProgram(object, null); each !== null; ) {
    libbpf().setLog(each, log);
    each = libbpf().nextProgram(object, each);
  }
}

function mapOf(object: Pointer, name: string): Pointer {
  const map = libbpf().findMap(object, name);
  if (map === null) throw new RangeError(`the eBPF object has no map ${name}`);
  return map;
}

/** The verifier's complaint stands at the end, before its statistics. */
function lastWords(log: Uint8Array): string {
  const text = new TextDecoder().decode(log.subarray(0, Math.max(0, log.indexOf(0)))).trim();
  const words = text.replace(/\nprocessed \d+ insns[\s\S]*$/, "").slice(-verifierWords);
  return words === "" ? "" : `: ${words.replaceAll("\n", "; ")}`;
}

/** What was loaded. Closing it takes nothing away that is attached. */
export class BpfObject implements Disposable {
  readonly #name: string;
  readonly #pointer: Pointer;

  constructor(name: string, pointer: Pointer) {
    this.#name = name;
    this.#pointer = pointer;
  }

  /** The program's descriptor; the object's, which closes it. */
  program(name: string): number {
    const program = libbpf().findProgram(this.#pointer, name);
    if (program === null) throw new RangeError(`eBPF object ${this.#name} has no program ${name}`);
    return libbpf().programFd(program);
  }

  /** The object closes it. */
  map(name: string): BpfMap {
    const map = mapOf(this.#pointer, name);
    return new BpfMap(libbpf().mapFd(map), {
      name: `${this.#name}/${name}`,
      keyBytes: libbpf().keyBytes(map),
      valueBytes: libbpf().valueBytes(map),
    });
  }

  [Symbol.dispose](): void {
    libbpf().closeObject(this.#pointer);
  }
}
