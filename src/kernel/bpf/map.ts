/**
 * A live eBPF map: bytes by bytes, as the kernel has them. Whoever knows the program gives the bytes their meaning.
 *
 * A call is 0.5 to 1 µs. An element is replaced atomically, a map is not: programs may see a batch half done.
 */

import { closeSync } from "node:fs";
import { MeshError } from "../../base/error.ts";
import { SystemCallError } from "../ffi.ts";
import { libbpf } from "./libbpf.ts";

export type MapEntry = readonly [key: Uint8Array, value: Uint8Array];

export interface MapShape {
  readonly name: string;
  readonly keyBytes: number;
  readonly valueBytes: number;
}

export class BpfMap implements Disposable {
  /** Stays with the map; to hand to another object (`reuse`) or to attach a program to. */
  readonly fd: number;
  readonly #shape: MapShape;

  /** Takes the descriptor over. */
  constructor(fd: number, shape: MapShape) {
    this.fd = fd;
    this.#shape = shape;
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    const value = new Uint8Array(this.#shape.valueBytes);
    this.#checkLengths([[key, value]]);
    return this.#doing("look up", () => libbpf().mapLookup(this.fd, key, value))
      ? value
      : undefined;
  }

  set(key: Uint8Array, value: Uint8Array): void {
    this.#checkLengths([[key, value]]);
    this.#doing("update", () => libbpf().mapUpdate(this.fd, key, value));
  }

  /** In one system call, in order. */
  setAll(entries: readonly MapEntry[]): void {
    if (entries.length === 0) return;
    this.#checkLengths(entries);
    const keys = Buffer.concat(entries.map(([key]) => key));
    const values = Buffer.concat(entries.map(([, value]) => value));
    this.#doing("update", () => libbpf().mapUpdateBatch(this.fd, keys, values, entries.length));
  }

  /** Deleting what is absent is success. */
  delete(key: Uint8Array): void {
    this.#checkLengths([[key, new Uint8Array(this.#shape.valueBytes)]]);
    this.#doing("delete from", () => libbpf().mapDelete(this.fd, key));
  }

  /** A list of what is there; what is added meanwhile may be missing. */
  keys(): readonly Uint8Array[] {
    const keys: Uint8Array[] = [];
    let last: Uint8Array | null = null;
    for (;;) {
      const next = new Uint8Array(this.#shape.keyBytes);
      const after = last;
      if (!this.#doing("list", () => libbpf().mapNextKey(this.fd, after, next))) return keys;
      keys.push(next);
      last = next;
    }
  }

  /** The kernel's map lives on while a program uses it. */
  [Symbol.dispose](): void {
    closeSync(this.fd);
  }

  /** The kernel reads as many bytes as the map's shape says, whatever the buffer holds. */
  #checkLengths(entries: readonly MapEntry[]): void {
    const { name, keyBytes, valueBytes } = this.#shape;
    for (const [key, value] of entries) {
      if (key.length === keyBytes && value.length === valueBytes) continue;
      throw new RangeError(
        `eBPF map ${name}: want ${keyBytes} bytes of key and ${valueBytes} of value, got ${key.length} and ${value.length}`,
      );
    }
  }

  #doing<T>(verb: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      throw new MeshError("kernel.bpf.map", `${verb} eBPF map ${this.#shape.name}`, {
        cause: error,
        fault: "host",
      });
    }
  }
}
