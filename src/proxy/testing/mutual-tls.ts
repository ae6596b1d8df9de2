/** Pairs of sidecars with mutual TLS between them, for tests. */

import { connect } from "node:net";
import type { MeshTls } from "../environment.ts";
import type { Sidecar } from "../sidecar.ts";
import type { Harness } from "./harness.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtualHost,
} from "./mesh.ts";
import type { MeshCa } from "./mesh-ca.ts";

export function identity(name: string, domain = "cluster.local"): string {
  return `spiffe://${domain}/ns/shop/sa/${name}`;
}

interface End {
  readonly name?: string;
  readonly meshTls?: MeshTls;
  /** Since the epoch. */
  readonly epochMs?: () => number;
}

export interface ServerEnd extends End {
  readonly inbound?: Parameters<typeof inbound>[1];
}

export interface ClientEnd extends End {
  /** Whom it takes for the right server. */
  readonly expected?: readonly string[];
  readonly domain?: string;
}

/** An inbound sidecar in front of an application; answers the port that stands for the pod's. */
export async function server(
  harness: Harness,
  ca: MeshCa,
  app: number,
  end: ServerEnd = {},
): Promise<number> {
  const { name = "cart", meshTls = "openssl", epochMs = Date.now } = end;
  const sidecar = await harness.sidecar(
    {
      workload: labels("shop", name),
      destination: () => ({ address: "127.0.0.1", port: app }),
      meshTls,
      epochMs,
    },
    inbound(app, end.inbound ?? { isStrict: true }),
    { secrets: await ca.secrets(identity(name)) },
  );
  return sidecar.portOf("virtualInbound") ?? 0;
}

/** An outbound sidecar that sends everything to one mutual TLS endpoint. */
export async function client(
  harness: Harness,
  ca: MeshCa,
  port: number,
  end: ClientEnd = {},
): Promise<{ readonly port: number; readonly sidecar: Sidecar }> {
  const { name = "web", meshTls = "openssl", epochMs = Date.now } = end;
  const { expected = [identity("cart")], domain } = end;
  const sidecar = await harness.sidecar(
    {
      workload: labels("shop", name),
      destination: () => ({ address: "10.96.0.1", port: 80 }),
      meshTls,
      epochMs,
    },
    {
      ...outbound([virtualHost(["*"], [route(forward("cart"))])]),
      clusters: [cluster("cart", { tls: upstreamTls(...expected) }), passthrough],
      endpoints: [{ cluster: "cart", endpoints: [endpoint(port, { tls: true })] }],
    },
    { secrets: await ca.secrets(identity(name, domain)) },
  );
  return { port: sidecar.portOf("virtualOutbound") ?? 0, sidecar };
}

/** Relays to the port, and reads in each ClientHello whether it offers to go on from a session (RFC 8446 §4.2.11). */
export async function resumptions(
  harness: Harness,
  to: number,
): Promise<{ readonly port: number; readonly offers: readonly boolean[] }> {
  const offers: boolean[] = [];
  const port = await harness.tcpApp((socket) => {
    const upstream = connect({ port: to, host: "127.0.0.1" });
    upstream.on("error", () => socket.destroy());
    socket.on("close", () => upstream.destroy());
    socket.once("data", (hello: Buffer) => offers.push(offersSession(hello)));
    socket.pipe(upstream).pipe(socket);
  });
  return { port, offers };
}

/** `pre_shared_key` is the last extension, and nothing else has its number before a length that ends the hello. */
function offersSession(hello: Buffer): boolean {
  for (let at = 0; at + 4 <= hello.length; at++) {
    const isLast = at + 4 + hello.readUInt16BE(at + 2) === hello.length;
    if (hello.readUInt16BE(at) === 41 && isLast) return true;
  }
  return false;
}
