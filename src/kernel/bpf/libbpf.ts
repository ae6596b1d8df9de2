/**
 * The functions of libbpf that Heddle uses, bound once and typed.
 *
 * libbpf comes with iproute2, so it is wherever our other needs are met. It does the two things nobody should write
 * twice: it fits a compiled program to the running kernel's types (CO-RE), and it resolves kernel functions. What is
 * plain arguments is bound as it is; the two option structures that we need are laid out here, by hand: each begins
 * with its own size, and newer libraries read shorter ones as they were.
 *
 * Not here: what a program is for, and what is done when the kernel refuses one (object.ts, attach.ts).
 */

import koffi from "koffi";
import { loadLibrary, once, SystemCallError } from "../ffi.ts";

/** A C pointer, as the FFI hands it out; null where the library has none. */
export type Pointer = unknown;

export interface Libbpf {
  /** Whether the kernel loads programs of this type for this process. */
  canLoad(programType: number): boolean;
  openObject(bytes: Uint8Array): Pointer;
  loadObject(object: Pointer): void;
  closeObject(object: Pointer): void;
  findProgram(object: Pointer, name: string): Pointer;
  findMap(object: Pointer, name: string): Pointer;
  programFd(program: Pointer): number;
  nextProgram(object: Pointer, after: Pointer): Pointer;
  /** Where the verifier's words go; the buffer must live until the object is loaded. */
  setLog(program: Pointer, buffer: Uint8Array): void;
  mapFd(map: Pointer): number;
  reuseMap(map: Pointer, fd: number): void;
  setMaxEntries(map: Pointer, count: number): void;
  keyBytes(map: Pointer): number;
  valueBytes(map: Pointer): number;
  setInitialValue(map: Pointer, value: Uint8Array): void;

  mapUpdate(fd: number, key: Uint8Array, value: Uint8Array): void;
  mapUpdateBatch(fd: number, keys: Uint8Array, values: Uint8Array, count: number): void;
  /** False where there is no such key. */
  mapLookup(fd: number, key: Uint8Array, value: Uint8Array): boolean;
  mapDelete(fd: number, key: Uint8Array): boolean;
  /** Without `key` the first; false after the last. */
  mapNextKey(fd: number, key: Uint8Array | null, next: Uint8Array): boolean;

  /** `target`: an index of a link in the thread's namespace, a cgroup's or a map's descriptor; by the type. */
  attach(program: number, target: number, type: number, replaced?: number): void;
  detach(program: number, target: number, type: number): void;
  /** Ids of the programs that are attached, in the order in which they run. */
  query(target: number, type: number): readonly number[];
  /** A descriptor; what it stands for ends when all of them are closed. */
  linkCreate(program: number, target: number, type: number): number;
  programById(id: number): number;
  /** What the kernel says of a program or map, into `info`. */
  objectInfo(fd: number, info: Uint8Array): void;
}

export const libbpf: () => Libbpf = once(bindLibbpf);

const BPF_F_REPLACE = 4;
const ENOENT = 2;
const mostAttached = 64; // the kernel's own bound (BPF_MPROG_MAX)

function bindLibbpf(): Libbpf {
  const library = loadLibrary("libbpf.so.1", "libbpf1");
  const func = (declaration: string) => library.func(declaration);
  // The library would explain itself on standard error; what it says of a refused program we ask for (setLog).
  func("void *libbpf_set_print(void *)")(null);
  const probe = func("int libbpf_probe_bpf_prog_type(int, const void *)");
  const openMemory = func("void *bpf_object__open_mem(const void *, size_t, const void *)");
  const load = func("int bpf_object__load(void *)");
  const close = func("void bpf_object__close(void *)");
  const findProgram = func("void *bpf_object__find_program_by_name(void *, const char *)");
  const findMap = func("void *bpf_object__find_map_by_name(void *, const char *)");
  const programFd = func("int bpf_program__fd(void *)");
  const nextProgram = func("void *bpf_object__next_program(void *, void *)");
  const setLog = func("int bpf_program__set_log_buf(void *, void *, size_t)");
  const mapFd = func("int bpf_map__fd(void *)");
  const reuse = func("int bpf_map__reuse_fd(void *, int)");
  const setMax = func("int bpf_map__set_max_entries(void *, uint32_t)");
  const keySize = func("uint32_t bpf_map__key_size(void *)");
  const valueSize = func("uint32_t bpf_map__value_size(void *)");
  const setInitial = func("int bpf_map__set_initial_value(void *, const void *, size_t)");
  const update = func("int bpf_map_update_elem(int, const void *, const void *, uint64_t)");
  const updateBatch = func(
    "int bpf_map_update_batch(int, const void *, const void *, void *, const void *)",
  );
  const lookup = func("int bpf_map_lookup_elem(int, const void *, void *)");
  const remove = func("int bpf_map_delete_elem(int, const void *)");
  const nextKey = func("int bpf_map_get_next_key(int, const void *, void *)");
  const attach = func("int bpf_prog_attach_opts(int, int, int, const void *)");
  const detach = func("int bpf_prog_detach2(int, int, int)");
  const query = func("int bpf_prog_query(int, int, uint32_t, void *, void *, void *)");
  const linkCreate = func("int bpf_link_create(int, int, int, const void *)");
  const programById = func("int bpf_prog_get_fd_by_id(uint32_t)");
  const info = func("int bpf_obj_get_info_by_fd(int, void *, void *)");
  return {
    canLoad: (programType) => probe(programType, null) === 1,
    openObject: (bytes) => present(openMemory(bytes, bytes.length, null)),
    loadObject: (object) => void checked(load(object)),
    closeObject: (object) => close(object),
    findProgram: (object, name) => findProgram(object, name),
    findMap: (object, name) => findMap(object, name),
    programFd: (program) => checked(programFd(program)),
    nextProgram: (object, after) => nextProgram(object, after),
    setLog: (program, buffer) => void checked(setLog(program, buffer, buffer.length)),
    mapFd: (map) => checked(mapFd(map)),
    reuseMap: (map, fd) => void checked(reuse(map, fd)),
    setMaxEntries: (map, count) => void checked(setMax(map, count)),
    keyBytes: (map) => keySize(map),
    valueBytes: (map) => valueSize(map),
    setInitialValue: (map, value) => void checked(setInitial(map, value, value.length)),
    mapUpdate: (fd, key, value) => void checked(update(fd, key, value, 0)),
    mapUpdateBatch: (fd, keys, values, count) =>
      void checked(updateBatch(fd, keys, values, word(count), null)),
    mapLookup: (fd, key, value) => found(lookup(fd, key, value)),
    mapDelete: (fd, key) => found(remove(fd, key)),
    mapNextKey: (fd, key, next) => found(nextKey(fd, key, next)),
    attach: (program, target, type, replaced) =>
      void checked(attach(program, target, type, attachOptions(replaced))),
    detach: (program, target, type) => void checked(detach(program, target, type)),
    query(target, type) {
      const ids = new Uint32Array(mostAttached);
      const count = new Uint32Array([mostAttached]);
      checked(query(target, type, 0, new Uint32Array(1), ids, count));
      return [...ids.subarray(0, count[0] ?? 0)];
    },
    linkCreate: (program, target, type) => checked(linkCreate(program, target, type, null)),
    programById: (id) => checked(programById(id)),
    objectInfo: (fd, into) => void checked(info(fd, into, word(into.length))),
  };
}

/** `struct bpf_prog_attach_opts`: its size, flags, the program that is to be replaced. */
function attachOptions(replaced: number | undefined): Uint8Array | null {
  if (replaced === undefined) return null;
  const options = new DataView(new ArrayBuffer(16));
  options.setUint32(0, 16, true);
  options.setUint32(8, BPF_F_REPLACE, true);
  options.setInt32(12, replaced, true);
  return new Uint8Array(options.buffer);
}

/** A number to hand in by its address. */
function word(value: number): Uint32Array {
  return Uint32Array.of(value);
}

function present(pointer: Pointer): Pointer {
  if (pointer === null) throw new SystemCallError(koffi.errno());
  return pointer;
}

function found(result: number): boolean {
  if (result === -ENOENT) return false;
  checked(result);
  return true;
}

/** libbpf 1.x answers `-errno`. */
function checked(result: number): number {
  if (result < 0) throw new SystemCallError(-result);
  return result;
}
