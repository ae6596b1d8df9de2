/**
 * Certificates and trusted roots as TLS settings, for both ends of connections.
 *
 * Mesh TLS is 1.3 only, and spoken by `proxy/tls`; what is not the mesh's by Node. A peer must have exactly one URI
 * among its subject alternative names, a SPIFFE id of our trust domain (SPIFFE X.509-SVID §2); upstream it must be one
 * of those that the cluster names. TLS to servers outside, and from clients outside, is judged by names. Contexts are
 * made once per pair of secrets and demands, and kept over snapshots, so that a snapshot without new secrets costs no
 * key parsing; a connection keeps the context that it began with.
 */

import type { X509Certificate } from "node:crypto";
import {
  checkServerIdentity,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
} from "node:tls";
import { MeshError } from "../../base/error.ts";
import type {
  Cluster,
  DownstreamTls,
  OriginateTls,
  Secret,
  TlsVersion,
  UpstreamTls,
} from "../../model/proxy-config.ts";
import type { Environment, MeshTls } from "../environment.ts";
import { TlsContext } from "../tls/context.ts";
import type { ClusterTls } from "../upstream/cluster.ts";
import { Kept } from "./kept.ts";

/** How long a ticket spares a handshake's signatures; a new certificate or root makes a new context, and ends it. */
const sessionSeconds = 3_600;

/**
 * What is demanded of the peer, and with it the name of sessions: what was agreed under lesser demands is of no use
 * under greater ones, which OpenSSL makes in a full handshake only. (Without a name it resumes nothing that shows a
 * certificate.)
 */
type Demands = "client certificate required" | "client certificate asked" | "nothing" | "server";

interface Versions {
  readonly leastVersion: TlsVersion;
  readonly mostVersion?: TlsVersion;
}

type Certificate = Extract<Secret, { kind: "certificate" }>;

export class TlsContexts {
  readonly #secrets: ReadonlyMap<string, Secret>;
  readonly #trustDomain: string;
  readonly #ours: Kept<TlsContext>;
  readonly #nodes: Kept<SecureContext>;

  readonly #meshTls: MeshTls;

  /** `before`: the contexts of the snapshot before, to take over what has not changed. */
  constructor(
    secrets: readonly Secret[],
    { trustDomain, meshTls }: Pick<Environment, "trustDomain" | "meshTls">,
    before?: TlsContexts,
  ) {
    this.#meshTls = meshTls;
    this.#secrets = new Map(secrets.map((secret) => [`${secret.kind}/${secret.name}`, secret]));
    this.#trustDomain = trustDomain;
    this.#ours = new Kept(before === undefined ? undefined : before.#ours);
    this.#nodes = new Kept(before === undefined ? undefined : before.#nodes);
  }

  /** For a chain that terminates TLS. */
  forChain(tls: DownstreamTls): TlsContext | SecureContext {
    const { certificate, validation, clients } = tls;
    const roots = validation === undefined ? undefined : this.#roots(validation);
    const demands = demandsOn(tls);
    return clients.kind === "mesh"
      ? this.#meshContext(certificate, roots, demands)
      : this.#nodeContext(certificate, roots, demands, clients);
  }

  /** TLS of the mesh towards a cluster. */
  forMesh(cluster: Cluster, tls: UpstreamTls): ClusterTls {
    const wanted = new Set(tls.subjectAltNames);
    const roots = this.#roots(tls.validation);
    return {
      context: this.#meshContext(tls.certificate, roots, "server"),
      alpn: tls.alpn,
      sni: tls.sni,
      isVerified: true,
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

  /** TLS that is not the mesh's towards a cluster. */
  forOutside(cluster: Cluster, tls: OriginateTls): ClusterTls {
    const { trust, names, sni = "", alpn } = tls;
    const roots = trust.kind === "secret" ? this.#roots(trust.name) : undefined; // Node's own are public
    return {
      context: this.#nodeContext(tls.certificate, roots, "server", { leastVersion: "TLSv1.2" }),
      alpn,
      sni,
      isVerified: trust.kind !== "none",
      identity: JSON.stringify([sni, alpn, names, trust.kind, roots, tls.certificate]),
      verifyPeer: (certificate) => {
        if (names.length === 0 || carriesName(certificate, names)) return undefined;
        return new MeshError(
          "proxy.tls.identity",
          `verify the identity of ${cluster.name}: the certificate is for ${certificate.subjectaltname ?? "no name"}, want ${names.join(" or ")}`,
          { fault: "peer" },
        );
      },
    };
  }

  #roots(validation: string): string {
    const trust = this.#secrets.get(`validation/${validation}`);
    if (trust?.kind !== "validation") throw missing("validation", validation);
    return trust.roots;
  }

  #meshContext(
    certificate: string | undefined,
    roots: string | undefined,
    demands: Demands,
  ): TlsContext | SecureContext {
    if (this.#meshTls === "node")
      return this.#nodeContext(certificate, roots, demands, { leastVersion: "TLSv1.3" });
    const own = this.#own(certificate);
    return this.#ours.get(keyOf(own, roots, demands), () =>
      loading(own, () => new TlsContext({ own, roots, sessionName: demands, sessionSeconds })),
    );
  }

  #nodeContext(
    certificate: string | undefined,
    roots: string | undefined,
    demands: Demands,
    { leastVersion: minVersion, mostVersion }: Versions,
  ): SecureContext {
    const own = this.#own(certificate);
    return this.#nodes.get(`${minVersion} ${mostVersion} ${keyOf(own, roots, demands)}`, () =>
      loading(own, () =>
        createSecureContext({
          ...(own === undefined ? {} : { cert: own.chain, key: own.key }),
          ...(roots === undefined ? {} : { ca: roots }),
          minVersion,
          ...(mostVersion === undefined ? {} : { maxVersion: mostVersion }),
          sessionIdContext: demands,
          sessionTimeout: sessionSeconds,
        }),
      ),
    );
  }

  #own(certificate: string | undefined): Certificate | undefined {
    if (certificate === undefined) return undefined;
    const own = this.#secrets.get(`certificate/${certificate}`);
    if (own?.kind !== "certificate") throw missing("certificate", certificate);
    return own;
  }
}

function keyOf(own: Certificate | undefined, roots: string | undefined, demands: Demands): string {
  return [own?.chain, own?.key, roots, demands].join("\u0000");
}

function demandsOn({ validation, requireClientCertificate }: DownstreamTls): Demands {
  if (validation === undefined) return "nothing";
  return requireClientCertificate ? "client certificate required" : "client certificate asked";
}

function loading<C>(own: Certificate | undefined, make: () => C): C {
  try {
    return make();
  } catch (cause) {
    const name = own === undefined ? "trusted roots" : `certificate ${own.name}`;
    throw new MeshError("proxy.config.secret", `load ${name}`, { cause });
  }
}

/** Whether the certificate is for one of the names: a URI as it is, else by RFC 6125. */
export function carriesName(
  certificate: Pick<PeerCertificate, "subject" | "subjectaltname">,
  names: readonly string[],
): boolean {
  const uris = (certificate.subjectaltname ?? "")
    .split(", ")
    .filter((name) => name.startsWith("URI:"))
    .map((name) => name.slice("URI:".length));
  return names.some((name) =>
    name.includes("://")
      ? uris.includes(name)
      : checkServerIdentity(name, certificate as PeerCertificate) === undefined,
  );
}

/**
 * OpenSSL compares a certificate with the clock in a full handshake only; who goes on from a session would live for
 * ever, since each use of one brings another.
 */
export function hasExpired(certificate: X509Certificate, nowMs: number): boolean {
  return certificate.validToDate.getTime() < nowMs;
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

function missing(kind: string, name: string): MeshError {
  return new MeshError(
    "proxy.config.secret-missing",
    `build TLS settings: no ${kind} ${name} in the snapshot`,
  );
}
