/**
 * What does a handshake between two sidecars cost, and what when it goes on from a session?
 *
 * CPU time of both ends in one process, over loopback, with the sockets, certificates and settings of the data path. The
 * floor is a plain TCP connection; the rival is our own full handshake.
 */

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { acceptTls, adopt, connectPlain, connectWithTls } from "../src/proxy/codec/sockets.ts";
import { type Reader, Transport } from "../src/proxy/codec/transport.ts";
import { createMeshCa, type ProxySecrets } from "../src/proxy/testing/mesh-ca.ts";
import type { BenchResult } from "./result.ts";

const rounds = 3;
const perRound = 200;

export async function run(): Promise<BenchResult> {
  const ca = await createMeshCa();
  const identity = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;
  const [client, server] = await Promise.all([
    ca.secrets(identity("web")).then(contextOf),
    ca.secrets(identity("cart")).then(contextOf),
  ]);
  await using ends = await openEnds(client, server);
  const costs = { plain: [] as number[], full: [] as number[], resumed: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    for (const kind of ["plain", "full", "resumed"] as const) {
      const cost = await microsecondsOf(() => ends.connect(kind));
      if (round > 0) costs[kind].push(cost); // the first is warm-up
    }
  }
  const [plain, full, resumed] = [costs.plain, costs.full, costs.resumed].map(median);
  if (plain === undefined || full === undefined || resumed === undefined)
    throw new TypeError("no runs");
  return {
    bench: "mtls-handshake",
    unit: "µs of CPU for a connection, both ends",
    ours: resumed,
    floor: plain,
    rivals: { full },
    ratio: { floor: resumed / plain, full: resumed / full },
    growth: [],
    details: costs,
  };
}

interface Ends extends AsyncDisposable {
  /** Opens a connection, waits for the other end's first byte, and closes it. Throws when it is not of that kind. */
  connect(kind: "plain" | "full" | "resumed"): Promise<void>;
}

async function openEnds(client: SecureContext, server: SecureContext): Promise<Ends> {
  const secure = await listen((raw) => {
    const closing = reader(() => transport.close());
    const transport = new Transport(closing, (onread) => {
      const tls = { context: server, alpn: ["h2"], asksForCertificate: true };
      const options = { ...tls, requireClientCertificate: true };
      const socket = acceptTls(raw, undefined, options, onread);
      socket.once("secure", () => transport.writeText("1"));
      return socket;
    });
  });
  const plain = await listen((raw) => {
    const closing = reader(() => transport.close());
    const transport = new Transport(closing, (onread) => adopt(raw, onread));
    transport.writeText("1");
  });
  let session: Buffer | undefined;
  const tls = { context: client, alpn: ["h2"], sni: "cart", isVerified: true };
  return {
    connect: (kind) =>
      new Promise((resolve, reject) => {
        let isReady = false;
        const onBytes = () => {
          const { socket } = transport;
          const isResumed = socket instanceof TLSSocket && socket.isSessionReused();
          isReady = isResumed === (kind === "resumed");
          transport.close();
        };
        const onClose = () => {
          if (isReady) resolve();
          else reject(new Error(`bench mtls-handshake: a connection was not ${kind}`));
        };
        const transport = new Transport({ ...reader(() => {}), onBytes, onClose }, (onread) => {
          if (kind === "plain") return connectPlain("127.0.0.1", plain.port, onread);
          const kept = kind === "resumed" && session !== undefined ? { session } : {};
          const options = { ...tls, ...kept, verifyPeer: () => undefined };
          const socket = connectWithTls("127.0.0.1", secure.port, options, onread);
          socket.on("session", (ticket: Buffer) => {
            session = ticket;
          });
          return socket;
        });
      }),
    async [Symbol.asyncDispose]() {
      for (const { close } of [plain, secure]) close();
    },
  };
}

function reader(onEnd: () => void): Reader {
  return { onBytes() {}, onEnd, onDrain() {}, onClose() {} };
}

async function listen(
  accept: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly close: () => unknown }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, accept);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  // It is never told that a connection is over: its handle is another socket's by then.
  return { port, close: () => server.close() };
}

/** As `proxy/config/tls-contexts.ts` makes them. */
function contextOf([own, trust]: ProxySecrets): SecureContext {
  const { chain: cert, key } = own;
  const rest = { minVersion: "TLSv1.3", sessionIdContext: "heddle" } as const;
  return createSecureContext({ cert, key, ca: trust.roots, ...rest });
}

async function microsecondsOf(connect: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < perRound; i++) await connect();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / perRound;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
