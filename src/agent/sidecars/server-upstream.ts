/**
 * The server as sidecars need it, over the node's own credentials: the relay of their configuration, and certificates
 * for keys that are made here.
 */

import type { Log } from "../../base/log.ts";
import { certificateFacts } from "../../pki/certificate.ts";
import { createKeyAndCsr } from "../../pki/key.ts";
import { relayAds } from "../../rpc/ads-relay.ts";
import { createCertificateClient } from "../../rpc/certificate-client.ts";
import { callMetadata } from "../../rpc/methods.ts";
import type { Bootstrap } from "../bootstrap.ts";
import type { MeshUpstream } from "./upstream.ts";

export interface ServerUpstream extends MeshUpstream {
  close(): void;
}

export function serverUpstream(bootstrap: Bootstrap, log: Log): ServerUpstream {
  const { xds, token, roots } = bootstrap;
  const upstream = { target: xds, token: token.reveal(), roots };
  const certificates = createCertificateClient(upstream);
  return {
    async relay(pod, listenSocket, sds) {
      const metadata = {
        [callMetadata.pod]: `${pod.namespace}/${pod.name}`,
        [callMetadata.podUid]: pod.uid,
      };
      const relay = await relayAds({ listenSocket, upstream, metadata, sds, log });
      return { [Symbol.asyncDispose]: () => relay.close() };
    },

    async issue(pod, spiffeId) {
      const { key, csrPem } = await createKeyAndCsr(spiffeId);
      const { chainPem } = await certificates.issue({ csrPem, pod });
      // The root is not sent to peers: they trust what they were given, not what they are told.
      const chain = chainPem.length > 1 ? chainPem.slice(0, -1) : chainPem;
      const { notBeforeMs, notAfterMs } = certificateFacts(chain[0] ?? "");
      return { chain: chain.join(""), key: key.reveal(), roots, notBeforeMs, notAfterMs };
    },

    close: () => certificates.close(),
  };
}
