/** Gateways: the structure of Istio's API. What cannot be done as asked is said by whoever compiles them. */

import type { Check } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { anything, boolean, nonEmpty, oneOf, portNumber, text } from "../schema/scalar.ts";

const version = oneOf("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3");

const tls: Check = record({
  httpsRedirect: boolean,
  mode: oneOf(
    "PASSTHROUGH",
    "SIMPLE",
    "MUTUAL",
    "OPTIONAL_MUTUAL",
    "ISTIO_MUTUAL",
    "AUTO_PASSTHROUGH",
  ),
  credentialName: text(),
  credentialNames: list(nonEmpty),
  serverCertificate: text(),
  privateKey: text(),
  caCertificates: text(),
  caCrl: text(),
  caCertCredentialName: text(),
  tlsCertificates: anything,
  subjectAltNames: list(nonEmpty),
  verifyCertificateSpki: list(nonEmpty),
  verifyCertificateHash: list(nonEmpty),
  minProtocolVersion: version,
  maxProtocolVersion: version,
  cipherSuites: list(nonEmpty),
});

export const gatewaySpec: Check = record({
  selector: mapOf(text()),
  servers: list(
    record({
      "port!": record({
        "number!": portNumber,
        "protocol!": nonEmpty,
        "name!": nonEmpty,
        targetPort: portNumber,
      }),
      "hosts!": list(nonEmpty, 1),
      bind: text(),
      defaultEndpoint: text(),
      name: text(),
      tls,
    }),
  ),
});
