/** Certificates and trusted roots as SDS resources. Keys travel only on the node, over a unix socket. */

import type { Secret } from "../../model/proxy-config.ts";
import { invalid, required } from "./field.ts";
import type * as wire from "./gen/message-types.ts";
import { EnvoySecret } from "./gen/messages.ts";
import type { EncodedResource, XdsResources } from "./resources.ts";
import { decodeResource, encodeResource, groupByType, typeUrls } from "./resources.ts";

export type { Secret };

export function encodeSecrets(secrets: readonly Secret[]): XdsResources {
  return groupByType(secrets.map(encodeSecret));
}

/** Throws MeshError naming the secret and the field. */
export function decodeSecrets(resources: XdsResources): readonly Secret[] {
  return [...(resources.get(typeUrls.secret)?.values() ?? [])]
    .map(decodeSecret)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function encodeSecret(secret: Secret): EncodedResource {
  const { name } = secret;
  return encodeResource(
    typeUrls.secret,
    name,
    EnvoySecret,
    secret.kind === "certificate"
      ? {
          name,
          tlsCertificate: {
            certificateChain: { inlineString: secret.chain },
            privateKey: { inlineString: secret.key },
          },
        }
      : { name, validationContext: { trustedCa: { inlineString: secret.roots } } },
  );
}

/** Throws MeshError naming the secret and the field. */
export function decodeSecret(resource: EncodedResource): Secret {
  const message = decodeResource(EnvoySecret, resource);
  const path = `Secret ${resource.name}`;
  const name = required(message.name, `${path}.name`);
  if (message.tlsCertificate !== undefined) {
    const { certificateChain, privateKey } = message.tlsCertificate;
    const at = `${path}.tls_certificate`;
    return {
      kind: "certificate",
      name,
      chain: text(certificateChain, `${at}.certificate_chain`),
      key: text(privateKey, `${at}.private_key`),
    };
  }
  if (message.validationContext !== undefined) {
    const roots = message.validationContext.trustedCa;
    return {
      kind: "validation",
      name,
      roots: text(roots, `${path}.validation_context.trusted_ca`),
    };
  }
  throw invalid(path, "want tls_certificate or validation_context");
}

function text(source: wire.DataSource | undefined, path: string): string {
  if (source?.inlineBytes !== undefined) {
    return required(String.fromCharCode(...source.inlineBytes), path); // PEM is ASCII
  }
  return required(source?.inlineString, path);
}
