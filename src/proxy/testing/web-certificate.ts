/** Certificates of the web for tests: self-signed, so that each is its own authority. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface WebCertificate {
  readonly chain: string;
  readonly key: string;
}

/** For these DNS names; made by OpenSSL, as users do. */
export function webCertificate(...names: readonly string[]): WebCertificate {
  const folder = mkdtempSync(join(tmpdir(), "heddle-certificate-"));
  try {
    const [chain, key] = [join(folder, "chain.pem"), join(folder, "key.pem")];
    const san = `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`;
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const subject = ["-subj", `/CN=${names[0]}`, "-addext", san, "-days", "2"];
    const command = ["req", "-x509", ...curve, ...subject, "-keyout", key, "-out", chain];
    execFileSync("openssl", command, { stdio: "pipe" });
    return { chain: readFileSync(chain, "utf8"), key: readFileSync(key, "utf8") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
