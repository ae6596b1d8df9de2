/**
 * Stand-in for Istio's testing app: `istio-app.ts --port 8080 --grpc 17070 --tcp 19090 --version v1`, each flag as
 * often as wanted, with `=` or without; others are not its business.
 *
 * HTTP and gRPC say which version and pod answered. gRPC is the app's `proto.EchoTestService/Echo`: a message whose
 * first field is text comes back as one whose first field is text; metadata `x-status` makes it fail with that code.
 */

import { createServer } from "node:net";
import { parseArgs } from "node:util";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { podName, serveHttp } from "./serving.ts";

const { values } = parseArgs({
  strict: false,
  options: {
    port: { type: "string", multiple: true },
    grpc: { type: "string", multiple: true },
    tcp: { type: "string", multiple: true },
    version: { type: "string" },
  },
});

const version = String(values.version ?? "");

serveHttp(numbers(values.port), () => ({ body: { version, pod: podName } }));

for (const port of numbers(values.tcp)) {
  createServer((socket) => socket.on("error", () => {}).pipe(socket)).listen(port);
}

const asIs = (bytes: Buffer): Buffer => bytes;
const server = new Server();
server.addService(
  {
    echo: {
      path: "/proto.EchoTestService/Echo",
      requestStream: false,
      responseStream: false,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  },
  {
    echo: (
      call: { readonly request: Buffer; readonly metadata: { get(name: string): unknown[] } },
      answer: (error: { code: number; details: string } | null, message?: Buffer) => void,
    ) => {
      const [code] = call.metadata.get("x-status");
      if (code !== undefined) answer({ code: Number(code), details: `as asked by ${podName}` });
      else answer(null, message(`${version} ${podName} ${call.request.subarray(2)}`));
    },
  },
);
for (const port of numbers(values.grpc)) {
  server.bindAsync(`0.0.0.0:${port}`, ServerCredentials.createInsecure(), (error) => {
    if (error !== null) throw error;
  });
}

process.once("SIGTERM", () => server.tryShutdown(() => process.exit(0)));

/** Field 1, text shorter than 128 bytes. */
function message(text: string): Buffer {
  const bytes = Buffer.from(text).subarray(0, 127);
  return Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes]);
}

function numbers(given: unknown): number[] {
  return Array.isArray(given) ? given.map(Number) : [];
}
