/** Answers certificate requests, and counts them and what went wrong. */

import { MeshError } from "../../base/error.ts";
import type { CallMetadata } from "../../rpc/grpc-server.ts";
import { decodeCertificateRequest, encodeCertificateResponse } from "../../wire/xds/certificate.ts";
import type { XdsServerOptions } from "../xds-server.ts";
import { authorizeCertificate } from "./authorize.ts";

/** Throws what the authority throws, and MeshError as `authorizeCertificate`. */
export async function certify(
  request: Uint8Array,
  metadata: CallMetadata,
  options: XdsServerOptions,
): Promise<Uint8Array> {
  const { certificates } = options.metrics;
  certificates.requested.add(1);
  let identity: string;
  try {
    identity = authorizeCertificate(metadata, options);
  } catch (error) {
    certificates.unauthorized.add(1);
    throw error;
  }
  try {
    const { csrPem } = decodeCertificateRequest(request);
    const chain = await options.issueCertificate(csrPem, identity);
    certificates.issued.add(1);
    return encodeCertificateResponse(chain);
  } catch (error) {
    const isPeers = error instanceof MeshError && error.fault === "peer";
    (isPeers ? certificates.unreadable : certificates.unsigned).add(1);
    throw error;
  }
}
