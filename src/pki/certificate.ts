/** What a certificate says, read with Node's own parser. */

import { X509Certificate } from "node:crypto";
import { MeshError } from "../base/error.ts";

export interface CertificateFacts {
  /** The SPIFFE identity; undefined where it names none. */
  readonly identity?: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly serial: string;
}

/** Reads the first certificate of a PEM text. Throws MeshError `pki.certificate`. */
export function certificateFacts(pem: string): CertificateFacts {
  try {
    const certificate = new X509Certificate(pem);
    const identity = /(?:^|, )URI:(spiffe:\/\/[^,\s"]+)/.exec(
      certificate.subjectAltName ?? "",
    )?.[1];
    return {
      ...(identity !== undefined && { identity }),
      notBeforeMs: certificate.validFromDate.getTime(),
      notAfterMs: certificate.validToDate.getTime(),
      serial: certificate.serialNumber.toLowerCase(),
    };
  } catch (cause) {
    throw new MeshError("pki.certificate", "read a certificate", { cause, fault: "peer" });
  }
}
