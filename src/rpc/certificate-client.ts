/** Asks the server's authority to sign for a pod's key, over Istio's certificate service. */

import { decodeCertificateResponse, encodeCertificateRequest } from "../wire/xds/certificate.ts";
import { callError, fromBuffer, metadataFor, openClient, type Target, toBuffer } from "./grpc.ts";
import { callMetadata, methods } from "./methods.ts";

/** Signing takes milliseconds; a server that does not answer by then is asked again by the caller. */
const deadlineMs = 5_000;

const noBytes = new Uint8Array();

export interface CertificateRequest {
  readonly csrPem: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
}

export interface CertificateClient {
  /** PEM, the leaf first. Throws MeshError `rpc.…`, retryable where asking again may help, or `xds.malformed`. */
  issue(request: CertificateRequest): Promise<{ readonly chainPem: readonly string[] }>;
  close(): void;
}

export function createCertificateClient(target: Target): CertificateClient {
  const client = openClient(target);
  return {
    issue: ({ csrPem, pod }) =>
      new Promise<Uint8Array>((resolve, reject) => {
        const metadata = metadataFor(target, {
          [callMetadata.pod]: `${pod.namespace}/${pod.name}`,
          [callMetadata.podUid]: pod.uid,
        });
        client.makeUnaryRequest(
          methods.createCertificate,
          toBuffer,
          fromBuffer,
          encodeCertificateRequest(csrPem),
          metadata,
          { deadline: Date.now() + deadlineMs },
          (error, answer = noBytes) => {
            if (error === null) resolve(answer);
            else reject(callError(`certificate for pod ${pod.namespace}/${pod.name}`, error));
          },
        );
      }).then((answer) => ({ chainPem: decodeCertificateResponse(answer) })),
    close: () => client.close(),
  };
}
