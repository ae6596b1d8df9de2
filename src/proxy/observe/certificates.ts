/**
 * The certificates that a sidecar holds, as Envoy's `/certs` tells them: whom they name, and until when. No key is in it.
 * Beyond Envoy: the secret's name, and what is wrong with one that cannot be used.
 */

import { X509Certificate } from "node:crypto";
import { renderError } from "../../base/error.ts";
import type { Secret } from "../../model/proxy-config.ts";
import type { JsonObject } from "../../wire/xds/struct.ts";

/** `problem`: chains and clusters that need it close their connections. */
export function certificateReport(secret: Secret, nowMs: number): JsonObject {
  const { name } = secret;
  const pem = secret.kind === "certificate" ? secret.chain : secret.roots;
  const field = secret.kind === "certificate" ? "cert_chain" : "ca_cert";
  try {
    return { name, [field]: certificatesIn(pem).map((one) => details(one, name, nowMs)) };
  } catch (error) {
    return { name, [field]: [], problem: renderError(error) };
  }
}

function certificatesIn(pem: string): readonly X509Certificate[] {
  const parts = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  return (parts ?? [pem]).map((part) => new X509Certificate(part));
}

const dayMs = 86_400_000;

function details(certificate: X509Certificate, path: string, nowMs: number): JsonObject {
  const { serialNumber, subjectAltName, validFromDate, validToDate } = certificate;
  const days = Math.max(0, Math.floor((validToDate.getTime() - nowMs) / dayMs));
  return {
    path,
    serial_number: serialNumber.toLowerCase(),
    subject_alt_names: (subjectAltName ?? "").split(", ").flatMap(alternativeName),
    days_until_expiration: String(days),
    valid_from: validFromDate.toISOString(),
    expiration_time: validToDate.toISOString(),
  };
}

const kinds: Readonly<Record<string, string>> = {
  URI: "uri",
  DNS: "dns",
  "IP Address": "ip_address",
};

function alternativeName(text: string): readonly JsonObject[] {
  const at = text.indexOf(":");
  const kind = kinds[text.slice(0, at)];
  return kind === undefined ? [] : [{ [kind]: text.slice(at + 1) }];
}
