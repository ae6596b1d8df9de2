/** What all of OpenSSL's calls share: the library, pointers, and what is given to it. */

import type koffi from "koffi";

/** 0 for none. */
export type Pointer = number;

export type Library = ReturnType<typeof koffi.load>;

/** From `at` on. */
export function from(bytes: Uint8Array, at: number): Uint8Array {
  return at === 0 ? bytes : bytes.subarray(at);
}

/** Out of memory is all that keeps OpenSSL from making something. */
export function owned(made: Pointer): Pointer {
  if (made === 0) throw new RangeError("OpenSSL is out of memory");
  return made;
}
