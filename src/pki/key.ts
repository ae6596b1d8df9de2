/** Private keys as PEM (PKCS #8) that does not print. */

import { Secret } from "../base/secret.ts";
import { newKeyPair, type PrivateKey, pem, signing, x509 } from "./x509.ts";

export async function keyPem(key: PrivateKey): Promise<Secret<string>> {
  const der = await crypto.subtle.exportKey("pkcs8", key);
  return new Secret(x509.PemConverter.encode(der, "PRIVATE KEY"));
}

export async function parseKey(text: Secret<string>): Promise<PrivateKey> {
  const der = x509.PemConverter.decodeFirst(text.reveal());
  return crypto.subtle.importKey("pkcs8", der, signing, true, ["sign"]);
}

export interface KeyAndCsr {
  /** PEM; stays on the machine it was made on. */
  readonly key: Secret<string>;
  readonly csrPem: string;
}

/**
 * A new key and the request to have it certified for `spiffeId`. The request only carries the identity for readers of
 * logs: the authority takes it from who is asking.
 */
export async function createKeyAndCsr(spiffeId: string): Promise<KeyAndCsr> {
  const keys = await newKeyPair();
  const name = new x509.SubjectAlternativeNameExtension([{ type: "url", value: spiffeId }], true);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: signing,
    extensions: [name],
  });
  return { key: await keyPem(keys.privateKey), csrPem: pem(csr) };
}
