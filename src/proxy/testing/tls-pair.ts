/** Two ends of mesh TLS in memory, for tests. */

import { type ClientOptions, type ServerOptions, TlsConnection } from "../tls/connection.ts";
import { TlsContext } from "../tls/context.ts";
import { maxPlainBytes, maxSealedBytes } from "../tls/record-layer.ts";
import { createMeshCa, type ProxySecrets } from "./mesh-ca.ts";

export function contextOf([own, trust]: ProxySecrets, roots: string = trust.roots): TlsContext {
  return new TlsContext({ own, roots, sessionName: "test", sessionSeconds: 60 });
}

export const mutual: ServerOptions = {
  alpn: ["h2", "http/1.1"],
  asksForCertificate: true,
  requireClientCertificate: true,
};

/** What `Pair`s are made of, unless a test says otherwise. */
export interface Contexts {
  readonly client: TlsContext;
  readonly server: TlsContext;
}

/** Of two identities under one authority: the callee `cart`, and `web`, which calls it. */
export async function cartAndWeb(): Promise<Contexts> {
  const ca = await createMeshCa();
  const identity = (name: string) => ca.secrets(`spiffe://cluster.local/ns/shop/sa/${name}`);
  return {
    server: contextOf(await identity("cart")),
    client: contextOf(await identity("web")),
  };
}

export interface PairOptions extends Partial<ClientOptions> {
  readonly keyLife?: number;
}

/** Both ends in memory; `wire` may change what goes from one to the other. */
export class Pair {
  readonly client: TlsConnection;
  readonly server: TlsConnection;
  readonly sessions: Buffer[] = [];

  constructor({ client, server }: Contexts, { keyLife, ...options }: PairOptions = {}) {
    this.server = TlsConnection.accept(server, mutual, keyLife);
    this.client = TlsConnection.connect(
      client,
      {
        alpn: ["http/1.1"],
        sni: "cart",
        isVerified: true,
        onSession: (session) => this.sessions.push(session),
        ...options,
      },
      keyLife,
    );
  }

  /** Until both are done, and the client has its tickets; the error of whoever breaks. */
  shake(): Error | undefined {
    const tickets = this.shakeHands();
    if (tickets instanceof Error) return tickets;
    read(this.client, tickets);
    return undefined;
  }

  /** Until both are done; the server's tickets, or the error of whoever breaks. */
  shakeHands(): Buffer | Error {
    let toClient: Buffer = Buffer.alloc(0);
    for (let i = 0; i < 6; i++) {
      const one = this.client.handshake(toClient, toClient.length);
      if (one.kind === "broken") return one.error;
      const other = this.server.handshake(one.output, one.output.length);
      if (other.kind === "broken") return other.error;
      toClient = other.output;
      if (one.kind === "done" && other.kind === "done") break;
    }
    return toClient;
  }

  close(): void {
    this.client.close();
    this.server.close();
  }
}

const records = Buffer.alloc(maxSealedBytes);

export function sealed(by: TlsConnection, bytes: Buffer | string): Buffer {
  const all = Buffer.from(bytes as string);
  return Buffer.from(records.subarray(0, by.seal(all, 0, all.length, records)));
}

/** Where `read` opens to. */
export const plain: Buffer = Buffer.alloc(maxPlainBytes);

export function read(by: TlsConnection, bytes: Buffer): string {
  return plain.toString("latin1", 0, by.open(bytes, bytes.length, plain));
}
