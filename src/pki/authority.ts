/**
 * The certificate authority: one self-signed root that certifies workloads and the server itself.
 *
 * A workload's identity is what the caller says it is (the server takes it from the pod behind an authenticated
 * connection), never what the request claims; of the request only the public key is used, after its signature has
 * shown that the requester holds the private one. Certificates are short-lived and start a little in the past, for
 * clocks that are behind.
 *
 * Not here: where the root is kept (server/data-folder.ts), who may ask (server/xds).
 */

import { MeshError } from "../base/error.ts";
import type { Secret } from "../base/secret.ts";
import { keyPem, parseKey } from "./key.ts";
import { newKeyPair, pem, signing, x509 } from "./x509.ts";

export interface Authority {
  /** The root certificate, PEM: what everybody trusts. */
  readonly rootPem: string;
  /**
   * Certifies the public key of a request for a SPIFFE identity. Answers the chain as PEM, leaf first, root last.
   * Throws MeshError `pki.csr`.
   */
  issueWorkload(csrPem: string, identity: string, lifetimeMs?: number): Promise<readonly string[]>;
  /** A key and certificate for a server under the given DNS names and IP addresses. */
  issueServer(names: readonly string[], addresses: readonly string[]): Promise<ServerCertificate>;
}

export interface ServerCertificate {
  readonly keyPem: Secret<string>;
  readonly certPem: string;
}

/** What must be kept to open the same authority again. */
export interface AuthorityMaterial {
  readonly keyPem: Secret<string>;
  readonly rootPem: string;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
export const workloadLifetimeMs: number = dayMs;
const serverLifetimeMs = 365 * dayMs;
const rootLifetimeMs = 3650 * dayMs;
/** How far a peer's clock may be behind. */
const skewMs = 5 * 60_000;

/** A new root for the trust domain. */
export async function createAuthority(
  trustDomain: string,
  now: () => number,
): Promise<AuthorityMaterial> {
  const keys = await newKeyPair();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    keys,
    signingAlgorithm: signing,
    serialNumber: newSerial(),
    name: `O=${trustDomain}, CN=Heddle root`,
    ...validity(now(), rootLifetimeMs),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: `spiffe://${trustDomain}` }]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { keyPem: await keyPem(keys.privateKey), rootPem: pem(root) };
}

export async function openAuthority(
  material: AuthorityMaterial,
  now: () => number,
): Promise<Authority> {
  const root = new x509.X509Certificate(material.rootPem);
  const signingKey = await parseKey(material.keyPem);
  const rootPem = pem(root);

  async function issue(
    publicKey: x509.PublicKeyType,
    lifetimeMs: number,
    alternativeNames: x509.SubjectAlternativeNameExtension,
    purposes: readonly x509.ExtendedKeyUsage[],
  ): Promise<string> {
    const certificate = await x509.X509CertificateGenerator.create({
      publicKey,
      signingKey,
      signingAlgorithm: signing,
      serialNumber: newSerial(),
      issuer: root.subject,
      ...validity(now(), lifetimeMs),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([...purposes]),
        alternativeNames,
        await x509.AuthorityKeyIdentifierExtension.create(root.publicKey),
      ],
    });
    return pem(certificate);
  }

  return {
    rootPem,

    async issueWorkload(csrPem, identity, lifetimeMs = workloadLifetimeMs) {
      const csr = await verifiedRequest(csrPem, identity);
      // RFC 5280 §4.1.2.6: with an empty subject the alternative name is critical.
      const name = new x509.SubjectAlternativeNameExtension(
        [{ type: "url", value: identity }],
        true,
      );
      const purposes = [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth];
      return [await issue(csr.publicKey, lifetimeMs, name, purposes), rootPem];
    },

    async issueServer(names, addresses) {
      const keys = await newKeyPair();
      const name = new x509.SubjectAlternativeNameExtension(
        [
          ...names.map((value) => ({ type: "dns", value }) as const),
          ...addresses.map((value) => ({ type: "ip", value }) as const),
        ],
        true,
      );
      const purposes = [x509.ExtendedKeyUsage.serverAuth];
      const certPem = await issue(keys.publicKey, serverLifetimeMs, name, purposes);
      return { keyPem: await keyPem(keys.privateKey), certPem: certPem + rootPem };
    },
  };
}

async function verifiedRequest(csrPem: string, identity: string) {
  const refuse = (message: string, cause?: unknown) =>
    new MeshError("pki.csr", `certify ${identity}: ${message}`, { cause, fault: "peer" });
  let csr: x509.Pkcs10CertificateRequest;
  let genuine: boolean;
  try {
    csr = new x509.Pkcs10CertificateRequest(csrPem);
    genuine = await csr.verify();
  } catch (cause) {
    throw refuse("cannot read the signing request", cause);
  }
  if (!genuine) throw refuse("the request is not signed by its own key");
  const { name, namedCurve, modulusLength } = csr.publicKey.algorithm as {
    readonly name: string;
    readonly namedCurve?: string;
    readonly modulusLength?: number;
  };
  const strong =
    (name === "ECDSA" && ["P-256", "P-384", "P-521"].includes(namedCurve ?? "")) ||
    (name.startsWith("RSA") && (modulusLength ?? 0) >= 2048);
  if (!strong) {
    const got = `${name} ${namedCurve ?? modulusLength ?? ""}`.trim();
    throw refuse(`its key must be ECDSA on a NIST curve or RSA of 2048 bits or more, got ${got}`);
  }
  return csr;
}

function validity(nowMs: number, lifetimeMs: number) {
  return { notBefore: new Date(nowMs - skewMs), notAfter: new Date(nowMs + lifetimeMs) };
}

/** RFC 5280 §4.1.2.2: positive, at most 20 octets; random, so that no two authorities ever agree. */
function newSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}
