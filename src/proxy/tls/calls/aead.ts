/**
 * OpenSSL's authenticated encryption, of one record at a time.
 *
 * Two contexts, one for each way, serve all connections of an algorithm and are given a key with every record: that costs
 * 0.15 µs, where a context for each direction of each connection would be a kilobyte that somebody has to give back.
 */

import { Address, type Library, owned, type Pointer } from "./library.ts";

/** Those of TLS 1.3, as OpenSSL names them. */
export type AeadName = "AES-128-GCM" | "AES-256-GCM" | "ChaCha20-Poly1305";

export const nonceBytes = 12;
export const tagBytes = 16;
export const headerBytes = 5;

/** Records: a header of `headerBytes`, which is authenticated with it, then what is encrypted, then a tag. */
export interface Aead {
  /** Of the next record; memory that all share. */
  readonly nonce: Buffer;
  /**
   * Encrypts `content` and `last`, a byte, behind the header that stands at `into[to]`, and writes the tag behind them:
   * `content.length + 1 + tagBytes`.
   */
  seal(key: Buffer, content: Source, last: number, into: Buffer, to: number): void;
  /**
   * Decrypts a record to `into[to…]`. False: it is not what was sealed under this key, nonce and header, and what was
   * written means nothing.
   */
  open(key: Buffer, record: Source, into: Buffer, to: number): boolean;
}

export interface Source {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly length: number;
}

export type AeadCalls = (name: AeadName) => Aead;

// Pieces of the memory that all calls share, and where each is in it.
const nonceAt = 0;
const lastAt = 16;
const writtenAt = 24;
const keyAt = 32;
const memoryBytes = 64;

export function bindAeads(library: Library): AeadCalls {
  const memory = Buffer.allocUnsafeSlow(memoryBytes).fill(0);
  const made = new Map<AeadName, Aead>();
  return (name) => {
    const aead = made.get(name) ?? bindAead(library, memory, name);
    made.set(name, aead);
    return aead;
  };
}

/** Everything is given by address, which is half the cost of a call with Buffers. */
function bindAead(library: Library, memory: Buffer, name: AeadName): Aead {
  const fetch = library.func("uintptr_t EVP_CIPHER_fetch(uintptr_t, const char *, const char *)");
  const make = library.func("uintptr_t EVP_CIPHER_CTX_new()");
  const begin = library.func(
    "int EVP_CipherInit_ex(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, int)",
  );
  const update = library.func(
    "int EVP_CipherUpdate(uintptr_t, uintptr_t, uintptr_t, uintptr_t, int)",
  );
  const finish = library.func("int EVP_CipherFinal_ex(uintptr_t, uintptr_t, uintptr_t)");
  const control = library.func("int EVP_CIPHER_CTX_ctrl(uintptr_t, int, int, uintptr_t)");

  const at = new Address().of(memory);
  const sources = new Address();
  const targets = new Address();
  const cipher: Pointer = owned(fetch(0, name, null));
  const sealing = contextFor(1);
  const opening = contextFor(0);

  function contextFor(isSealing: 0 | 1): Pointer {
    const context: Pointer = owned(make());
    done(begin(context, cipher, 0, 0, 0, isSealing));
    return context;
  }

  function start(context: Pointer, key: Buffer, header: Pointer, isSealing: 0 | 1): void {
    memory.set(key, keyAt);
    // Without a cipher it keeps its own, and what it has allocated for that.
    done(begin(context, 0, 0, at + keyAt, at + nonceAt, isSealing));
    done(update(context, 0, at + writtenAt, header, headerBytes));
  }

  return {
    nonce: memory.subarray(nonceAt, nonceAt + nonceBytes),
    seal(key, content, last, into, to) {
      must(content.at + content.length <= content.bytes.length);
      must(to + headerBytes + content.length + 1 + tagBytes <= into.length);
      const header = targets.of(into) + to;
      const sealed = header + headerBytes;
      start(sealing, key, header, 1);
      memory[lastAt] = last;
      const from = sources.of(content.bytes) + content.at;
      const { length } = content;
      if (length > 0) done(update(sealing, sealed, at + writtenAt, from, length));
      done(update(sealing, sealed + length, at + writtenAt, at + lastAt, 1));
      const tag = sealed + length + 1;
      done(finish(sealing, tag, at + writtenAt));
      done(control(sealing, EVP_CTRL_AEAD_GET_TAG, tagBytes, tag));
    },
    open(key, record, into, to) {
      const header = sources.of(record.bytes) + record.at;
      const sealed = header + headerBytes;
      const length = record.length - headerBytes - tagBytes;
      must(length >= 0 && record.at + record.length <= record.bytes.length);
      must(to + length <= into.length);
      start(opening, key, header, 0);
      const opened = targets.of(into) + to;
      if (length > 0) done(update(opening, opened, at + writtenAt, sealed, length));
      done(control(opening, EVP_CTRL_AEAD_SET_TAG, tagBytes, sealed + length));
      return finish(opening, opened + length, at + writtenAt) === 1;
    },
  };
}

/** What is given by address OpenSSL reads and writes, whoever's it is. */
function must(fits: boolean): void {
  if (!fits) throw new RangeError("there is no room for a record");
}

/** Nothing that a peer sends makes these fail. */
function done(result: number): void {
  if (result !== 1) throw new RangeError("OpenSSL cannot encrypt");
}

// From openssl/evp.h of OpenSSL 3.
const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;
