/** The certificates that a sidecar holds, as `/certs` tells them: whom they name, and until when. No key is in it. */

import { X509Certificate } from "node:crypto";
import { renderError } from "../../base/error.ts";
import type { Secret } from "../../model/proxy-config.ts";

export interface CertificateReport {
  readonly name: string;
  readonly kind: Secret["kind"];
  readonly certificates: readonly CertificateLine[];
  /** Why it cannot be used; chains and clusters that need it close their connections. */
  readonly problem?: string;
}

interface CertificateLine {
  readonly subjectAltNames: string;
  readonly serial: string;
  readonly validFrom: string;
  readonly validUntil: string;
}

export function certificateReport(secret: Secret): CertificateReport {
  const { name, kind } = secret;
  const pem = secret.kind === "certificate" ? secret.chain : secret.roots;
  try {
    return { name, kind, certificates: certificatesIn(pem).map(lineOf) };
  } catch (error) {
    return { name, kind, certificates: [], problem: renderError(error) };
  }
}

function certificatesIn(pem: string): readonly X509Certificate[] {
  const parts = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  return (parts ?? [pem]).map((part) => new X509Certificate(part));
}

function lineOf(certificate: X509Certificate): CertificateLine {
  return {
    subjectAltNames: certificate.subjectAltName ?? "",
    serial: certificate.serialNumber.toLowerCase(),
    validFrom: certificate.validFromDate.toISOString(),
    validUntil: certificate.validToDate.toISOString(),
  };
}
