/**
 * One configuration for two proxies: our delta xDS server, on a unix socket, offering everybody who comes the same
 * resources, and the secrets on the stream that a sidecar asks for them on.
 */

import { silentLog } from "../../../src/proxy/testing/mesh.ts";
import type { ProxySecrets } from "../../../src/proxy/testing/mesh-ca.ts";
import { type Accepted, serveDelta } from "../../../src/rpc/ads-server.ts";
import type { DeltaSession, SessionStatus } from "../../../src/rpc/delta-session.ts";
import { serveGrpc } from "../../../src/rpc/grpc-server.ts";
import { methods } from "../../../src/rpc/methods.ts";
import { proxyTypes, typeUrls, type XdsResources } from "../../../src/wire/xds/resources.ts";
import { encodeSecrets } from "../../../src/wire/xds/secret.ts";

export interface ControlPlane extends AsyncDisposable {
  /** Resolves when both proxies have taken everything; rejects with the words of one that refuses. */
  readonly taken: Promise<void>;
}

const proxies = 2;

export async function startControlPlane(
  socket: string,
  offered: XdsResources,
  secrets: ProxySecrets,
): Promise<ControlPlane> {
  const taken = Promise.withResolvers<void>();
  let settled = 0;
  const settle = ({ acked, rejected }: SessionStatus): void => {
    if (rejected !== undefined) taken.reject(new Error(rejected.error));
    else if (acked !== undefined && ++settled === proxies) taken.resolve();
  };
  const resources = serveDelta(() => offering(proxyTypes, offered, settle), silentLog);
  const certificates = serveDelta(
    () => offering([typeUrls.secret], encodeSecrets(secrets), () => undefined),
    silentLog,
  );
  const server = await serveGrpc(
    { kind: "unix", path: socket },
    { streams: { [methods.deltaResources]: resources, [methods.deltaSecrets]: certificates } },
  );
  return { taken: taken.promise, [Symbol.asyncDispose]: () => server.close() };
}

/** The same to everybody, once. */
function offering(
  types: readonly string[],
  resources: XdsResources,
  settle: (status: SessionStatus) => void,
): Accepted {
  let session: DeltaSession | undefined;
  return {
    types,
    changed: () => {
      // Envoy asks for routes when it has listeners: only then is everything taken.
      if (session !== undefined) settle(session.status);
    },
    opened: (opened) => {
      session = opened;
      opened.offer(1, resources);
      return () => undefined;
    },
  };
}
