/**
 * The gRPC server that connectconformance tests, behind a sidecar: starts the reference server (the command given), puts an
 * outbound sidecar before it, and tells the runner the sidecar's port instead.
 *
 * Both talk in messages that are preceded by their length: a ServerCompatRequest in, a ServerCompatResponse out
 * (connectrpc/conformance, server_compat.proto: host = 1, port = 2, pem_cert = 3).
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
process.stdin.pipe(server.stdin);
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
      ...outbound([virtualHost(["*"], [route(forward("app"))])]),
      clusters: [cluster("app", { protocol: "http/2" }), passthrough],
      endpoints: [{ cluster: "app", endpoints: [endpoint(port)] }],
    }),
  );
  return sidecar.portOf("virtualOutbound") ?? 0;
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
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}
