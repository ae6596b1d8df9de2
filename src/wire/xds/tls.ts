/**
 * TLS contexts of both ends, with certificates and roots by SDS.
 *
 * A real Envoy finds the SDS server under the static cluster `sds-grpc`, as Istio's bootstrap names it; Heddle's own
 * proxy knows its SDS server and ignores the address. The mesh's own chains are told by what they demand of clients: a
 * URI of the mesh's trust domain.
 */

import { trustDomain } from "../../model/names.ts";
import type {
  DownstreamTls,
  OriginateTls,
  TlsVersion,
  UpstreamTls,
} from "../../model/proxy-config.ts";
import { given, invalid, pack, required, unpack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  ApiType,
  ApiVersion,
  DownstreamTlsContext,
  SanType,
  TlsProtocol,
  UpstreamTlsContext,
} from "./gen/messages.ts";

const tlsSocketName = "envoy.transport_sockets.tls";

const meshPrefix = `spiffe://${trustDomain}/`;
/** Where Debian, and Envoy's image, keep the public authorities. */
const publicRoots = "/etc/ssl/certs/ca-certificates.crt";

export function encodeDownstreamTls(tls: DownstreamTls): wire.TransportSocket {
  const { clients } = tls;
  const names =
    clients.kind === "mesh"
      ? [{ sanType: SanType.URI, matcher: { prefix: meshPrefix } }]
      : clients.names.map(nameMatcher);
  return {
    name: tlsSocketName,
    typedConfig: pack(DownstreamTlsContext, {
      requireClientCertificate: { value: tls.requireClientCertificate },
      commonTlsContext: {
        tlsParams:
          clients.kind === "mesh"
            ? versionsFrom("TLSv1.3")
            : versionsFrom(clients.leastVersion, clients.mostVersion),
        alpnProtocols: tls.alpn,
        tlsCertificateSdsSecretConfigs: [secretNamed(tls.certificate)],
        ...given(
          "combinedValidationContext",
          tls.validation === undefined ? undefined : validatedBy(tls.validation, names),
        ),
      },
    }),
  };
}

export function decodeDownstreamTls(socket: wire.TransportSocket, path: string): DownstreamTls {
  const context = unpack(DownstreamTlsContext, socket.typedConfig, `${path}.typed_config`);
  const common = context.commonTlsContext;
  const at = `${path}.typed_config.common_tls_context`;
  const matchers =
    common?.combinedValidationContext?.defaultValidationContext?.matchTypedSubjectAltNames ?? [];
  const isMesh = matchers.some(({ matcher }) => matcher?.prefix === meshPrefix);
  return {
    requireClientCertificate: context.requireClientCertificate?.value ?? false,
    alpn: common?.alpnProtocols ?? [],
    certificate: required(certificateOf(common), `${at}.${certificatePath}`),
    ...given("validation", validationOf(common)),
    clients: isMesh
      ? { kind: "mesh" }
      : {
          kind: "anyone",
          names: exactNames(matchers, at),
          leastVersion: decodeVersion(common?.tlsParams?.tlsMinimumProtocolVersion),
          ...(common?.tlsParams?.tlsMaximumProtocolVersion === TlsProtocol.TLSv1_2
            ? { mostVersion: "TLSv1.2" }
            : {}),
        },
  };
}

export function encodeUpstreamTls(tls: UpstreamTls): wire.TransportSocket {
  return {
    name: tlsSocketName,
    typedConfig: pack(UpstreamTlsContext, {
      sni: tls.sni,
      commonTlsContext: {
        tlsParams: versionsFrom("TLSv1.3"),
        alpnProtocols: tls.alpn,
        tlsCertificateSdsSecretConfigs: [secretNamed(tls.certificate)],
        combinedValidationContext: validatedBy(
          tls.validation,
          tls.subjectAltNames.map((exact) => ({ sanType: SanType.URI, matcher: { exact } })),
        ),
      },
    }),
  };
}

export function decodeUpstreamTls(
  socket: wire.TransportSocket | undefined,
  path: string,
): UpstreamTls {
  const context = unpack(UpstreamTlsContext, socket?.typedConfig, `${path}.typed_config`);
  const common = context.commonTlsContext;
  const at = `${path}.typed_config.common_tls_context`;
  const names = common?.combinedValidationContext?.defaultValidationContext;
  return {
    sni: context.sni ?? "",
    alpn: common?.alpnProtocols ?? [],
    certificate: required(certificateOf(common), `${at}.${certificatePath}`),
    validation: required(validationOf(common), `${at}.${validationPath}`),
    subjectAltNames: exactNames(names?.matchTypedSubjectAltNames ?? [], at),
  };
}

export function encodeOriginateTls(tls: OriginateTls): wire.TransportSocket {
  const { certificate } = tls;
  return {
    name: tlsSocketName,
    typedConfig: pack(UpstreamTlsContext, {
      ...given("sni", tls.sni),
      commonTlsContext: {
        tlsParams: versionsFrom("TLSv1.2"),
        alpnProtocols: tls.alpn,
        ...given(
          "tlsCertificateSdsSecretConfigs",
          certificate === undefined ? undefined : [secretNamed(certificate)],
        ),
        ...trustOf(tls),
      },
    }),
  };
}

function trustOf({ trust, names }: OriginateTls): Partial<wire.CommonTlsContext> {
  const matchers = names.map(nameMatcher);
  switch (trust.kind) {
    case "secret":
      return { combinedValidationContext: validatedBy(trust.name, matchers) };
    case "public":
      return {
        validationContext: {
          trustedCa: { filename: publicRoots },
          matchTypedSubjectAltNames: matchers,
        },
      };
    case "none":
      return {};
  }
}

export function decodeOriginateTls(socket: wire.TransportSocket, path: string): OriginateTls {
  const context = unpack(UpstreamTlsContext, socket.typedConfig, `${path}.typed_config`);
  const common = context.commonTlsContext;
  const at = `${path}.typed_config.common_tls_context`;
  const name = validationOf(common);
  const own = common?.validationContext;
  const names = own ?? common?.combinedValidationContext?.defaultValidationContext ?? ({} as const);
  return {
    ...given("certificate", certificateOf(common)),
    trust:
      name !== undefined
        ? { kind: "secret", name }
        : { kind: own === undefined ? "none" : "public" },
    ...given("sni", context.sni || undefined),
    alpn: common?.alpnProtocols ?? [],
    names: exactNames(names.matchTypedSubjectAltNames ?? [], at),
  };
}

/** Up to TLS 1.3, which an Envoy that connects does not speak unless it is told to. */
function versionsFrom(least: TlsVersion, most: TlsVersion = "TLSv1.3"): wire.TlsParameters {
  const { TLSv1_2, TLSv1_3 } = TlsProtocol;
  return {
    tlsMinimumProtocolVersion: least === "TLSv1.3" ? TLSv1_3 : TLSv1_2,
    tlsMaximumProtocolVersion: most === "TLSv1.3" ? TLSv1_3 : TLSv1_2,
  };
}

function decodeVersion(version: number | undefined): TlsVersion {
  return version === TlsProtocol.TLSv1_3 ? "TLSv1.3" : "TLSv1.2";
}

function secretNamed(name: string): wire.SdsSecretConfig {
  return { name, sdsConfig };
}

function validatedBy(
  name: string,
  names: readonly wire.SubjectAltNameMatcher[],
): wire.CombinedValidationContext {
  return {
    defaultValidationContext: { matchTypedSubjectAltNames: names },
    validationContextSdsSecretConfig: secretNamed(name),
  };
}

function nameMatcher(exact: string): wire.SubjectAltNameMatcher {
  return { sanType: exact.includes("://") ? SanType.URI : SanType.DNS, matcher: { exact } };
}

function exactNames(matchers: readonly wire.SubjectAltNameMatcher[], path: string): string[] {
  return matchers.map(({ matcher }, index) => {
    if (matcher?.exact !== undefined) return matcher.exact;
    throw invalid(`${path}.match_typed_subject_alt_names[${index}]`, "want an exact name");
  });
}

const certificatePath = "tls_certificate_sds_secret_configs[0].name";
const validationPath = "combined_validation_context.validation_context_sds_secret_config.name";

function certificateOf(common: wire.CommonTlsContext | undefined): string | undefined {
  return common?.tlsCertificateSdsSecretConfigs?.[0]?.name;
}

function validationOf(common: wire.CommonTlsContext | undefined): string | undefined {
  return common?.combinedValidationContext?.validationContextSdsSecretConfig?.name;
}

const sdsConfig: wire.ConfigSource = {
  apiConfigSource: {
    apiType: ApiType.DELTA_GRPC, // the one protocol that a node's agent speaks
    transportApiVersion: ApiVersion.V3,
    setNodeOnFirstMessageOnly: true,
    grpcServices: [{ envoyGrpc: { clusterName: "sds-grpc" } }],
  },
  // Zero: wait for the secret however long it takes; a listener without its certificate must not open.
  initialFetchTimeout: {},
  resourceApiVersion: ApiVersion.V3,
};
