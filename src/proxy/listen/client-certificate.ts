/**
 * Whether a client's certificate lets it in, and who it is then.
 *
 * OpenSSL has judged the chain by then, now or when the session began that this connection goes on from; here is
 * whether the certificate still holds, and what the name in it must be. A principal is only who has a SPIFFE identity
 * of the mesh: other clients stay nameless, whatever their certificates say.
 */

import type { Negotiated } from "../codec/sockets.ts";
import type { ChainTls } from "../config/tables.ts";
import { carriesName, hasExpired, spiffeIdentity } from "../config/tls-contexts.ts";
import { forwardedCertificate } from "./forwarded-certificate.ts";

export type Judgement =
  | {
      readonly kind: "welcome";
      readonly principal: string | undefined;
      /** What applications are told of the certificate. */
      readonly forwarded: string | undefined;
    }
  | { readonly kind: "refused"; readonly reason: string };

const nameless: Judgement = { kind: "welcome", principal: undefined, forwarded: undefined };

export function judgeClient(
  { peerCertificate: certificate, verifyProblem }: Negotiated,
  tls: ChainTls,
  trustDomain: string,
  /** Since the epoch. */
  nowMs: number,
): Judgement {
  if (!tls.asksForCertificate) return nameless;
  const isMissing = certificate === undefined;
  if (isMissing && !tls.requireClientCertificate) return nameless;
  if (verifyProblem !== undefined || isMissing) return refused(verifyProblem ?? "there is none");
  if (hasExpired(certificate, nowMs)) return refused(`it ended on ${certificate.validTo}`);
  const names = certificate.subjectAltName;
  const { clients } = tls;
  if (clients.kind === "mesh") {
    const principal = spiffeIdentity(names, trustDomain);
    if (principal === undefined) return refused("no SPIFFE identity of this trust domain");
    return { kind: "welcome", principal, forwarded: `URI=spiffe://${principal}` };
  }
  const isWelcome =
    clients.names.length === 0 || carriesName(certificate.toLegacyObject(), clients.names);
  if (!isWelcome) return refused(`it is for ${names ?? "no name"}`);
  return {
    kind: "welcome",
    principal: undefined,
    forwarded: forwardedCertificate(certificate),
  };
}

function refused(reason: string): Judgement {
  return { kind: "refused", reason };
}
