/** Records of TLS 1.3 as RFC 8446 §5.2 has them, by `node:crypto` and nothing of `proxy/tls`. */

import { type CipherGCMTypes, createCipheriv, createHmac } from "node:crypto";

export interface Suite {
  readonly number: number;
  readonly cipher: CipherGCMTypes | "chacha20-poly1305";
  readonly hash: "sha256" | "sha384";
  readonly keyBytes: number;
}

export const suites: readonly Suite[] = [
  { number: 0x1301, cipher: "aes-128-gcm", hash: "sha256", keyBytes: 16 },
  { number: 0x1302, cipher: "aes-256-gcm", hash: "sha384", keyBytes: 32 },
  { number: 0x1303, cipher: "chacha20-poly1305", hash: "sha256", keyBytes: 32 },
];

export class Sealer {
  readonly #suite: Suite;
  secret: Buffer;
  number: bigint;

  constructor(suite: Suite, secret: Buffer, number = 0n) {
    this.#suite = suite;
    this.secret = secret;
    this.number = number;
  }

  data(content: Buffer | string, padding = 0): Buffer {
    return this.record(23, Buffer.from(content as string), padding);
  }

  record(type: number, content: Buffer, padding = 0): Buffer {
    return this.inner(Buffer.concat([content, Buffer.of(type), Buffer.alloc(padding)]));
  }

  /** `inner`: content, type and padding. */
  inner(inner: Buffer, type = 23): Buffer {
    const { cipher, keyBytes } = this.#suite;
    const nonce = this.#expand("iv", 12);
    const header = Buffer.of(type, 3, 3, 0, 0);
    header.writeUInt16BE(inner.length + 16, 3);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.number++, 4);
    const options = { authTagLength: 16 };
    const sealing = createCipheriv(
      cipher as "aes-128-gcm",
      this.#expand("key", keyBytes),
      nonce,
      options,
    );
    sealing.setAAD(header);
    return Buffer.concat([header, sealing.update(inner), sealing.final(), sealing.getAuthTag()]);
  }

  /** Other keys from here on. */
  update(): void {
    this.secret = this.#expand("traffic upd", this.secret.length);
    this.number = 0n;
  }

  /** HKDF-Expand-Label, for no more than a hash's length. */
  #expand(label: string, length: number): Buffer {
    const name = Buffer.from(`tls13 ${label}`, "latin1");
    const info = Buffer.concat([Buffer.of(0, length, name.length), name, Buffer.of(0, 1)]);
    return createHmac(this.#suite.hash, this.secret).update(info).digest().subarray(0, length);
  }
}
