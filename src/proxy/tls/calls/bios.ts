/** OpenSSL's pieces of memory. */

import { from, type Library, owned, type Pointer } from "./library.ts";

/** Memory that OpenSSL reads from and writes to. */
export interface BioCalls {
  newMemory(): Pointer;
  put(bio: Pointer, bytes: Uint8Array, at: number, length: number): number;
  take(bio: Pointer, into: Buffer, at: number, length: number): number;
  pending(bio: Pointer): number;
  empty(bio: Pointer): void;
  free(bio: Pointer): void;
}

export function bindBios(library: Library): BioCalls {
  const kind = library.func("uintptr_t BIO_s_mem()");
  const make = library.func("uintptr_t BIO_new(uintptr_t)");
  const write = library.func("int BIO_write(uintptr_t, const void *, int)");
  const read = library.func("int BIO_read(uintptr_t, void *, int)");
  const pending = library.func("size_t BIO_ctrl_pending(uintptr_t)");
  const control = library.func("long BIO_ctrl(uintptr_t, int, long, uintptr_t)");
  const free = library.func("int BIO_free(uintptr_t)");
  return {
    newMemory: () => owned(make(kind())),
    put: (bio, bytes, at, length) => write(bio, from(bytes, at), length),
    take: (bio, into, at, length) => read(bio, from(into, at), length),
    pending: (bio) => pending(bio),
    empty: (bio) => void control(bio, BIO_CTRL_RESET, 0, 0),
    free: (bio) => void free(bio),
  };
}

const nothing = Buffer.alloc(0);

/** Takes all that is in it. */
export function takeAll(bio: BioCalls, from: Pointer): Buffer {
  const length = bio.pending(from);
  if (length === 0) return nothing;
  const bytes = Buffer.alloc(length);
  bio.take(from, bytes, 0, length);
  return bytes;
}

// From openssl/bio.h of OpenSSL 3.
const BIO_CTRL_RESET = 1;
