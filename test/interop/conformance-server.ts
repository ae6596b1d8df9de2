/**
 * The gRPC server that connectconformance tests, behind a sidecar: starts the reference server (the command given), puts an
 * outbound sidecar before it, and tells the runner the sidecar's port instead. A runner that speaks gRPC-Web is understood too:
 * the sidecar makes gRPC of it.
 *
 * Both talk in messages that are preceded by their length: a ServerCompatRequest in, a ServerCompatResponse out
 * (connectrpc/conformance, server_compat.proto: protocol = 1, http_version = 2; host = 1, port = 2, pem_cert = 3).
 */

import { spawn } from "node:child_process";
import { snapshot } from "../../src/proxy/testing/harness.ts";
import {
  cluster,
  endpoint,
  forward,
  outbound,
  passthrough,
  route,
  testSidecar,
  virtualHost,
} from "../../src/proxy/testing/mesh.ts";

const [command = "grpcserver", ...words] = process.argv.slice(2);
const server = spawn(command, words, { stdio: ["pipe", "pipe", "inherit"] });
let asked = Buffer.alloc(0);
process.stdin.on("data", (bytes: Buffer) => {
  asked = Buffer.concat([asked, bytes]);
  if (asked.length < 4 || asked.length < 4 + asked.readUInt32BE(0)) return;
  server.stdin.write(inGrpc(asked.subarray(4, 4 + asked.readUInt32BE(0))));
  asked = Buffer.alloc(0);
});
process.stdin.on("end", () => server.stdin.end());
process.once("SIGTERM", () => server.kill("SIGTERM"));
server.once("exit", (code) => process.exit(code ?? 0));

let received = Buffer.alloc(0);
server.stdout.on("data", (bytes: Buffer) => {
  received = Buffer.concat([received, bytes]);
  if (received.length < 4 || received.length < 4 + received.readUInt32BE(0)) return;
  const { port } = readResponse(received.subarray(4, 4 + received.readUInt32BE(0)));
  received = Buffer.alloc(0);
  void start(port).then((own) => process.stdout.write(response("127.0.0.1", own)));
});

async function start(port: number): Promise<number> {
  const sidecar = testSidecar({ destination: () => ({ address: "10.96.0.1", port: 80 }) });
  await sidecar.apply(
    snapshot({
      ...outbound([virtualHost(["*"], [route(forward("app"))])], [], { translatesGrpcWeb: true }),
      clusters: [cluster("app", { protocol: "http/2" }), passthrough],
      endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
    }),
  );
  return sidecar.portOf("virtualOutbound") ?? 0;
}

/** The request, whatever it asks for, as one for a server of gRPC in HTTP/2: of a field the last value counts. */
function inGrpc(message: Buffer): Buffer {
  return prefixed(Buffer.concat([message, Buffer.from([0x08, 2, 0x10, 2])]));
}

function readResponse(message: Buffer): { readonly port: number } {
  let at = 0;
  const integer = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  let port = 0;
  while (at < message.length) {
    const tag = integer();
    if (tag === 16) port = integer();
    else if (tag % 8 === 2) {
      const length = integer();
      at += length;
    } else integer();
  }
  return { port };
}

function response(host: string, port: number): Buffer {
  const varint = [(port & 0x7f) | 0x80, ((port >> 7) & 0x7f) | 0x80, port >> 14];
  const message = Buffer.concat([
    Buffer.from([0x0a, host.length]),
    Buffer.from(host),
    Buffer.from([0x10, ...varint]),
  ]);
  return prefixed(message);
}

function prefixed(message: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}
