/**
 * TLS contexts of both ends, with certificates and roots by SDS.
 *
 * A real Envoy finds the SDS server under the static cluster `sds-grpc`, as Istio's bootstrap names it; Heddle's own
 * proxy knows its SDS server and ignores the address. The server side demands a client certificate whose URI is of
 * the mesh's trust domain.
 */

import { trustDomain } from "../../model/names.ts";
import type { DownstreamTls, UpstreamTls } from "../../model/proxy-config.ts";
import { pack, required, unpack } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import {
  ApiType,
  ApiVersion,
  DownstreamTlsContext,
  SanType,
  TlsProtocol,
  UpstreamTlsContext,
} from "./gen/messages.ts";

export const tlsSocketName = "envoy.transport_sockets.tls";

export function encodeDownstreamTls(tls: DownstreamTls): wire.TransportSocket {
  return {
    name: tlsSocketName,
    typedConfig: pack(DownstreamTlsContext, {
      requireClientCertificate: { value: tls.requireClientCertificate },
      commonTlsContext: commonContext(tls, [
        { sanType: SanType.URI, matcher: { prefix: `spiffe://${trustDomain}/` } },
      ]),
    }),
  };
}

export function decodeDownstreamTls(socket: wire.TransportSocket, path: string): DownstreamTls {
  const context = unpack(DownstreamTlsContext, socket.typedConfig, `${path}.typed_config`);
  return {
    requireClientCertificate: context.requireClientCertificate?.value ?? false,
    ...decodeCommon(context.commonTlsContext, `${path}.typed_config.common_tls_context`),
  };
}

export function encodeUpstreamTls(tls: UpstreamTls): wire.TransportSocket {
  return {
    name: tlsSocketName,
    typedConfig: pack(UpstreamTlsContext, {
      sni: tls.sni,
      commonTlsContext: commonContext(
        tls,
        tls.subjectAltNames.map((exact) => ({ sanType: SanType.URI, matcher: { exact } })),
      ),
    }),
  };
}

export function decodeUpstreamTls(
  socket: wire.TransportSocket | undefined,
  path: string,
): UpstreamTls {
  const context = unpack(UpstreamTlsContext, socket?.typedConfig, `${path}.typed_config`);
  const common = context.commonTlsContext;
  const names = common?.combinedValidationContext?.defaultValidationContext;
  return {
    sni: context.sni ?? "",
    ...decodeCommon(common, `${path}.typed_config.common_tls_context`),
    subjectAltNames: (names?.matchTypedSubjectAltNames ?? []).map((name, index) =>
      required(name.matcher?.exact, `${path}.match_typed_subject_alt_names[${index}].exact`),
    ),
  };
}

interface CommonTls {
  readonly alpn: readonly string[];
  readonly certificate: string;
  readonly validation: string;
}

function commonContext(
  tls: CommonTls,
  names: readonly wire.SubjectAltNameMatcher[],
): wire.CommonTlsContext {
  return {
    tlsParams: { tlsMinimumProtocolVersion: TlsProtocol.TLSv1_2 },
    alpnProtocols: tls.alpn,
    tlsCertificateSdsSecretConfigs: [{ name: tls.certificate, sdsConfig }],
    combinedValidationContext: {
      defaultValidationContext: { matchTypedSubjectAltNames: names },
      validationContextSdsSecretConfig: { name: tls.validation, sdsConfig },
    },
  };
}

const sdsConfig: wire.ConfigSource = {
  apiConfigSource: {
    apiType: ApiType.GRPC,
    transportApiVersion: ApiVersion.V3,
    setNodeOnFirstMessageOnly: true,
    grpcServices: [{ envoyGrpc: { clusterName: "sds-grpc" } }],
  },
  // Zero: wait for the secret however long it takes; a listener without its certificate must not open.
  initialFetchTimeout: {},
  resourceApiVersion: ApiVersion.V3,
};

function decodeCommon(common: wire.CommonTlsContext | undefined, path: string): CommonTls {
  const validation = common?.combinedValidationContext?.validationContextSdsSecretConfig;
  return {
    alpn: common?.alpnProtocols ?? [],
    certificate: required(
      common?.tlsCertificateSdsSecretConfigs?.[0]?.name,
      `${path}.tls_certificate_sds_secret_configs[0].name`,
    ),
    validation: required(
      validation?.name,
      `${path}.combined_validation_context.validation_context_sds_secret_config.name`,
    ),
  };
}
