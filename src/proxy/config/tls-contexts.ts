/**
 * Certificates and trusted roots as TLS settings, for both ends of mesh connections.
 *
 * Mesh TLS is 1.3 only. A peer must have exactly one URI among its subject alternative names, a SPIFFE id of our trust
 * domain (SPIFFE X.509-SVID §2); upstream it must be one of those that the cluster names. Contexts are made once per
 * distinct pair of secrets and kept over snapshots, so that a snapshot without new secrets costs no key parsing.
 */

import { createSecureContext, type SecureContext } from "node:tls";
import { MeshError } from "../../base/error.ts";
import type { Cluster, Secret } from "../../model/proxy-config.ts";
import type { ClusterTls } from "../upstream/cluster.ts";

export class TlsContexts {
  readonly #secrets: ReadonlyMap<string, Secret>;
  readonly #trustDomain: string;
  readonly #contexts: Map<string, SecureContext>;
  readonly #used = new Map<string, SecureContext>();

  /** `before`: the contexts of the snapshot before, to take over what has not changed. */
  constructor(secrets: readonly Secret[], trustDomain: string, before?: TlsContexts) {
    this.#secrets = new Map(secrets.map((secret) => [`${secret.kind}/${secret.name}`, secret]));
    this.#trustDomain = trustDomain;
    this.#contexts = new Map(before === undefined ? [] : before.#used);
  }

  context(certificate: string, validation: string): SecureContext {
    const own = this.#secrets.get(`certificate/${certificate}`);
    const trust = this.#secrets.get(`validation/${validation}`);
    if (own?.kind !== "certificate") throw missing("certificate", certificate);
    if (trust?.kind !== "validation") throw missing("validation", validation);
    const key = [own.chain, own.key, trust.roots].join("\u0000");
    const known = this.#used.get(key) ?? this.#contexts.get(key);
    const context = known ?? makeContext(own.chain, own.key, trust.roots, certificate);
    this.#used.set(key, context);
    return context;
  }

  /** TLS towards a cluster; undefined when it has none. */
  forCluster(cluster: Cluster): ClusterTls | undefined {
    const { tls } = cluster;
    if (tls === undefined) return undefined;
    const wanted = new Set(tls.subjectAltNames);
    const trust = this.#secrets.get(`validation/${tls.validation}`);
    const roots = trust?.kind === "validation" ? trust.roots : "";
    return {
      context: this.context(tls.certificate, tls.validation),
      alpn: tls.alpn,
      sni: tls.sni,
      identity: JSON.stringify([tls.sni, tls.alpn, [...wanted].sort(), roots]),
      verifyPeer: (certificate) => {
        const identity = spiffeIdentity(certificate.subjectaltname, this.#trustDomain);
        if (identity !== undefined && (wanted.size === 0 || wanted.has(`spiffe://${identity}`))) {
          return undefined;
        }
        return new MeshError(
          "proxy.tls.identity",
          `verify the identity of ${cluster.name}: the peer is ${identity ?? "nobody of this mesh"}, want ${[...wanted].join(" or ") || `anybody of ${this.#trustDomain}`}`,
          { fault: "peer" },
        );
      },
    };
  }
}

/** The peer's SPIFFE id without its scheme; undefined unless it has exactly one URI name, of our trust domain. */
export function spiffeIdentity(
  subjectAltName: string | undefined,
  trustDomain: string,
): string | undefined {
  if (subjectAltName === undefined) return undefined;
  // Node quotes a name that holds a comma or a quote as a JSON string; a SPIFFE id holds neither.
  const uris = subjectAltName.split(", ").filter((name) => name.startsWith("URI:"));
  const [uri] = uris;
  const prefix = `URI:spiffe://${trustDomain}/`;
  if (uri === undefined || uris.length !== 1 || !uri.startsWith(prefix)) return undefined;
  const identity = uri.slice("URI:spiffe://".length);
  return /^[A-Za-z0-9._/-]+$/.test(identity) ? identity : undefined;
}

function makeContext(chain: string, key: string, roots: string, name: string): SecureContext {
  try {
    return createSecureContext({ cert: chain, key, ca: roots, minVersion: "TLSv1.3" });
  } catch (cause) {
    throw new MeshError("proxy.config.secret", `load certificate ${name}`, { cause });
  }
}

function missing(kind: string, name: string): MeshError {
  return new MeshError(
    "proxy.config.secret-missing",
    `build TLS settings: no ${kind} ${name} in the snapshot`,
  );
}
