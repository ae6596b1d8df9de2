/**
 * What an application is told of a client's certificate that was verified: Envoy's `x-forwarded-client-cert`, with what
 * Istio's gateways put in it.
 *
 * Its authority is the user's, and may sign what it likes: names that would read as something else in the field are
 * left out of it.
 */

import type { X509Certificate } from "node:crypto";

export function forwardedCertificate(certificate: X509Certificate): string {
  const { fingerprint256, subject } = certificate;
  const names = [...alternativeNames(certificate)];
  const pem = encodeURIComponent(certificate.toString());
  return [
    `Hash=${fingerprint256.replaceAll(":", "").toLowerCase()}`,
    `Cert="${pem}"`,
    `Subject="${quoted(distinguishedName(subject))}"`,
    ...names.filter(([kind]) => kind === "URI").map(([, name]) => `URI=${name}`),
    ...names.filter(([kind]) => kind === "DNS").map(([, name]) => `DNS=${name}`),
  ].join(";");
}

/** RFC 4514's order and separator; Node has a line for each part, and nothing but parts in lines. */
function distinguishedName(subject: string): string {
  return subject.split("\n").toReversed().join(",");
}

/** As latin1, which heads are written in. */
function quoted(text: string): string {
  return Buffer.from(text.replaceAll(/["\\]/g, "\\$&"), "utf8").toString("latin1");
}

function* alternativeNames({
  subjectAltName = "",
}: X509Certificate): Generator<readonly [kind: string, name: string]> {
  // Node quotes names that hold a separator; those are left out.
  for (const [, kind = "", name = ""] of subjectAltName.matchAll(
    /(?:^|, )([A-Za-z ]+):([^",;\s]+)(?=, |$)/g,
  )) {
    yield [kind, name];
  }
}
