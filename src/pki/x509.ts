/** The certificate library, loaded with what it needs, and the one algorithm that Heddle signs with. */

import "./reflect-metadata.ts";
import type { webcrypto } from "node:crypto";

export * as x509 from "@peculiar/x509";

/** P-256: what SPIFFE, Istio and every TLS 1.3 stack know; signing costs a tenth of RSA. */
export const signing = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export type PrivateKey = webcrypto.CryptoKey;

export function newKeyPair(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(signing, true, ["sign", "verify"]);
}

/** PEM that can be put together with more: it ends with a line feed. */
export function pem(value: { toString(format: "pem"): string }): string {
  return `${value.toString("pem").trimEnd()}\n`;
}
