/** The messages of Istio's certificate service. */

import { CertificateRequest, CertificateResponse } from "./gen/messages.ts";
import { decodeMessage, encodeMessage } from "./protobuf.ts";

export function encodeCertificateRequest(csrPem: string): Uint8Array {
  return encodeMessage(CertificateRequest, { csr: csrPem });
}

export function decodeCertificateRequest(bytes: Uint8Array): { readonly csrPem: string } {
  return { csrPem: decodeMessage(CertificateRequest, bytes).csr ?? "" };
}

export function encodeCertificateResponse(chainPem: readonly string[]): Uint8Array {
  return encodeMessage(CertificateResponse, { certChain: chainPem });
}

export function decodeCertificateResponse(bytes: Uint8Array): readonly string[] {
  return decodeMessage(CertificateResponse, bytes).certChain ?? [];
}
