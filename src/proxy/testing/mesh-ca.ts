/** Certificates for tests and benches, issued as the server's authority issues them. */

import type { Secret } from "../../model/proxy-config.ts";
import { createAuthority, openAuthority } from "../../pki/authority.ts";
import { createKeyAndCsr } from "../../pki/key.ts";

export type ProxySecrets = readonly [
  own: Extract<Secret, { kind: "certificate" }>,
  trust: Extract<Secret, { kind: "validation" }>,
];

export interface MeshCa {
  readonly roots: string;
  /** Certificate and trusted roots for one identity, named as sidecars know them: `default` and `ROOTCA`. */
  secrets(identity: string): Promise<ProxySecrets>;
}

export async function createMeshCa(trustDomain = "cluster.local"): Promise<MeshCa> {
  const authority = await openAuthority(await createAuthority(trustDomain, Date.now), Date.now);
  const roots = authority.rootPem;
  return {
    roots,
    async secrets(identity) {
      const { key, csrPem } = await createKeyAndCsr(identity);
      const [leaf = ""] = await authority.issueWorkload(csrPem, identity); // agents keep no root in it either
      return [
        { kind: "certificate", name: "default", chain: leaf, key: key.reveal() },
        { kind: "validation", name: "ROOTCA", roots },
      ];
    },
  };
}
