/**
 * What does a handshake between two sidecars cost, and what when it goes on from a session?
 *
 * CPU time of both ends in one process, over loopback, with the sockets, certificates and settings of the data path. The
 * floor is a plain TCP connection; the rivals are our own full handshake, and both by Node's TLS.
 */

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { acceptTls, adopt, connectPlain, connectWithTls } from "../src/proxy/codec/sockets.ts";
import { type OnRead, type Reader, Transport } from "../src/proxy/codec/transport.ts";
import { createMeshCa, type ProxySecrets } from "../src/proxy/testing/mesh-ca.ts";
import { TlsConnection } from "../src/proxy/tls/connection.ts";
import { TlsContext } from "../src/proxy/tls/context.ts";
import type { BenchResult } from "./result.ts";

const rounds = 3;
const perRound = 200;

const kinds = ["plain", "full", "resumed", "nodeFull", "nodeResumed"] as const;
type Kind = (typeof kinds)[number];

export async function run(): Promise<BenchResult> {
  const ca = await createMeshCa();
  const identity = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;
  const [web, cart] = [await ca.secrets(identity("web")), await ca.secrets(identity("cart"))];
  await using ends = await openEnds(web, cart);
  const costs = new Map<Kind, number[]>(kinds.map((kind) => [kind, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const kind of kinds) {
      const cost = await microsecondsOf(() => ends.connect(kind));
      if (round > 0) costs.get(kind)?.push(cost); // the first is warm-up
    }
  }
  const of = (kind: Kind) => median(costs.get(kind) ?? []);
  const rivals = { full: of("full"), nodeFull: of("nodeFull"), nodeResumed: of("nodeResumed") };
  const ours = of("resumed");
  return {
    bench: "mtls-handshake",
    unit: "µs of CPU for a connection, both ends",
    ours,
    floor: of("plain"),
    rivals,
    ratio: {
      floor: ours / of("plain"),
      full: ours / rivals.full,
      nodeResumed: ours / rivals.nodeResumed,
      fullToNodeFull: rivals.full / rivals.nodeFull,
    },
    growth: [],
    details: Object.fromEntries(costs),
  };
}

interface Ends extends AsyncDisposable {
  /** Opens a connection, waits for the other end's first byte, and closes it. */
  connect(kind: Kind): Promise<void>;
}

/** A connection under way, and whether it went on from a session. */
interface Dialled {
  readonly transport: Transport;
  readonly isResumed: () => boolean;
}

const loopback = "127.0.0.1";
const demands = { alpn: ["h2"], sni: "cart", isVerified: true };
const accepted = { alpn: ["h2"], asksForCertificate: true, requireClientCertificate: true };

async function openEnds(web: ProxySecrets, cart: ProxySecrets): Promise<Ends> {
  const plain = await listen((raw) => {
    const closing = reader(() => transport.close());
    const transport = new Transport(closing, (onread) => adopt(raw, onread));
    transport.writeText("1");
  });
  const ours = await ourEnds(web, cart);
  const nodes = await nodesEnds(web, cart);
  const dial = (kind: Kind, done: Reader): Dialled => {
    if (kind === "full" || kind === "resumed") return ours.dial(done, kind === "resumed");
    if (kind !== "plain") return nodes.dial(done, kind === "nodeResumed");
    const open = (onread: OnRead) => connectPlain(loopback, plain.port, onread);
    return { transport: new Transport(done, open), isResumed: () => false };
  };
  return {
    connect: (kind) =>
      new Promise((resolve, reject) => {
        let isReady = false;
        const onBytes = () => {
          isReady = isResumed() === (kind === "resumed" || kind === "nodeResumed");
          transport.close();
        };
        const onClose = () => {
          if (isReady) resolve();
          else reject(new Error(`bench mtls-handshake: a connection was not ${kind}`));
        };
        const { transport, isResumed } = dial(kind, { ...reader(() => {}), onBytes, onClose });
      }),
    async [Symbol.asyncDispose]() {
      for (const { close } of [plain, ours, nodes]) close();
    },
  };
}

interface TlsEnds {
  readonly close: () => unknown;
  readonly dial: (done: Reader, goesOn: boolean) => Dialled;
}

async function ourEnds(web: ProxySecrets, cart: ProxySecrets): Promise<TlsEnds> {
  const [client, server] = [contextOf(web), contextOf(cart)];
  const { port, close } = await listen((raw) => {
    const closing = reader(() => transport.close());
    const transport = new Transport(closing, (onread) => adopt(raw, onread));
    transport.secure(TlsConnection.accept(server, accepted), () => transport.writeText("1"));
  });
  let session: Buffer | undefined;
  const onSession = (ticket: Buffer) => {
    session = ticket;
  };
  return {
    close,
    dial(done, goesOn) {
      const transport = new Transport(done, (onread) => connectPlain(loopback, port, onread));
      const kept = goesOn && session !== undefined ? { session } : {};
      const connection = TlsConnection.connect(client, { ...demands, ...kept, onSession });
      transport.secure(connection, () => {});
      return { transport, isResumed: () => connection.isResumed };
    },
  };
}

async function nodesEnds(web: ProxySecrets, cart: ProxySecrets): Promise<TlsEnds> {
  const [client, server] = [nodeContextOf(web), nodeContextOf(cart)];
  const { port, close } = await listen((raw) => {
    const closing = reader(() => transport.close());
    const transport = new Transport(closing, (onread) => {
      const socket = acceptTls(raw, undefined, { ...accepted, context: server }, onread);
      socket.once("secure", () => transport.writeText("1"));
      return socket;
    });
  });
  let session: Buffer | undefined;
  return {
    close,
    dial(done, goesOn) {
      const kept = goesOn && session !== undefined ? { session } : {};
      const options = { ...demands, ...kept, context: client, verifyPeer: () => undefined };
      const transport = new Transport(done, (onread) => {
        const socket = connectWithTls(loopback, port, options, onread);
        socket.on("session", (ticket: Buffer) => {
          session = ticket;
        });
        return socket;
      });
      const { socket } = transport;
      return {
        transport,
        isResumed: () => socket instanceof TLSSocket && socket.isSessionReused(),
      };
    },
  };
}

function reader(onEnd: () => void): Reader {
  return { onBytes() {}, onEnd, onDrain() {}, onClose() {} };
}

/** As sidecars do (`proxy/listen/captures.ts`): with Nagle's delay an end that says two things waits 40 ms for the second. */
const asSidecarsListen = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true };

async function listen(
  accept: (socket: Socket) => void,
): Promise<{ readonly port: number; readonly close: () => unknown }> {
  const server = createServer(asSidecarsListen, accept);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  // It is never told that a connection is over: its handle is another socket's by then.
  return { port, close: () => server.close() };
}

/** As `proxy/config/tls-contexts.ts` makes them. */
function contextOf([own, { roots }]: ProxySecrets): TlsContext {
  return new TlsContext({ own, roots, sessionName: "heddle", sessionSeconds: 3_600 });
}

function nodeContextOf([own, trust]: ProxySecrets): SecureContext {
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
