/** What all of OpenSSL's calls share: the library, pointers, and what is given to it. */

import koffi from "koffi";

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

/**
 * Where bytes are: asked once for each in a row of calls with the same ones. Node keeps all of them outside of V8's heap,
 * where nothing moves, and what was asked about last is held.
 */
export class Address {
  #bytes: Uint8Array | undefined;
  #address: Pointer = 0;

  of(bytes: Uint8Array): Pointer {
    if (bytes !== this.#bytes) {
      this.#address = Number(koffi.address(bytes));
      this.#bytes = bytes;
    }
    return this.#address;
  }
}
