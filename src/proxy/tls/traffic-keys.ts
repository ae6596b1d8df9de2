/** The keys of one direction of a TLS 1.3 connection, and what they have protected (RFC 8446 §5.3, §7). */

import { createHmac } from "node:crypto";
import { MeshError } from "../../base/error.ts";
import {
  type Aead,
  type AeadName,
  headerBytes,
  nonceBytes,
  type Source,
  tagBytes,
} from "./calls/aead.ts";
import type { OpenSsl } from "./openssl.ts";

interface Suite {
  readonly aead: AeadName;
  readonly keyBytes: number;
}

/** By their numbers (RFC 8446 §B.4): those of `suiteNames`. */
const suites: ReadonlyMap<number, Suite> = new Map([
  [0x1301, { aead: "AES-128-GCM", keyBytes: 16 }],
  [0x1302, { aead: "AES-256-GCM", keyBytes: 32 }],
  [0x1303, { aead: "ChaCha20-Poly1305", keyBytes: 32 }],
]);

/** What a context may agree on, as OpenSSL has it. */
export const suiteNames =
  "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";

/** What every record says it is (RFC 8446 §5.2); what it is stands inside. */
export const applicationData = 23;

export class TrafficKeys {
  readonly #suite: Suite;
  readonly #aead: Aead;
  #secret: Buffer;
  #key: Buffer;
  #iv: Buffer;
  /** Records that the present key has protected, which is the number of the next. */
  records: number;

  private constructor(suite: Suite, aead: Aead, secret: Buffer, records: number) {
    this.#suite = suite;
    this.#aead = aead;
    this.#secret = secret;
    this.#key = expandLabel(secret, "key", suite.keyBytes);
    this.#iv = expandLabel(secret, "iv", nonceBytes);
    this.records = records;
  }

  /** Of a suite's number and a traffic secret that has protected `records`. */
  static of({ aead }: OpenSsl, suite: number, secret: Buffer, records: number): TrafficKeys {
    const known = suites.get(suite);
    if (known !== undefined) return new TrafficKeys(known, aead(known.aead), secret, records);
    throw new MeshError("heddle.assumption", `go on with records of the suite ${suite}`);
  }

  /** Writes content of a type as a record to `into[to…]`; returns how long it is. */
  seal(type: number, content: Source, into: Buffer, to: number): number {
    const sealed = content.length + 1 + tagBytes;
    into[to] = applicationData;
    into[to + 1] = 3;
    into[to + 2] = 3;
    into[to + 3] = sealed >> 8;
    into[to + 4] = sealed;
    this.#takeNumber();
    this.#aead.seal(this.#key, content, type, into, to);
    return headerBytes + sealed;
  }

  /**
   * Opens a record of at least a header and a tag to `into[to…]`: content, type and padding, in this order. Returns how
   * long they are; undefined: it was not sealed as the next one of these keys.
   */
  open(record: Source, into: Buffer, to: number): number | undefined {
    this.#takeNumber();
    if (!this.#aead.open(this.#key, record, into, to)) return undefined;
    return record.length - headerBytes - tagBytes;
  }

  /** Goes on with the next keys, as after a KeyUpdate. */
  update(): void {
    this.#secret = nextSecret(this.#secret);
    this.#key = expandLabel(this.#secret, "key", this.#suite.keyBytes);
    this.#iv = expandLabel(this.#secret, "iv", nonceBytes);
    this.records = 0;
  }

  #takeNumber(): void {
    const { nonce } = this.#aead;
    const number = this.records++;
    this.#iv.copy(nonce);
    nonce.writeUInt32BE((nonce.readUInt32BE(4) ^ Math.floor(number / 2 ** 32)) >>> 0, 4);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ number) >>> 0, 8);
  }
}

/** The traffic secret that follows `secret` (RFC 8446 §7.2). */
export function nextSecret(secret: Buffer): Buffer {
  return expandLabel(secret, "traffic upd", secret.length);
}

/**
 * HKDF-Expand-Label (RFC 8446 §7.1) without context, by the hash that made the secret. No more than a hash's length is
 * wanted of it here, which is one round of HKDF-Expand (RFC 5869 §2.3).
 */
function expandLabel(secret: Buffer, label: string, length: number): Buffer {
  const full = `tls13 ${label}`;
  const info = Buffer.from([0, length, full.length, ...Buffer.from(full, "latin1"), 0, 1]);
  const hash = secret.length === 48 ? "sha384" : "sha256";
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
}
