/**
 * A client of gRPC in a pod: `grpc.ts HOST:PORT CALLS [STATUS]` makes so many unary calls, on one channel, and prints one
 * JSON list of what each came to: the answer's text, or `failed CODE DETAILS`.
 */

import { Client, credentials, Metadata } from "@grpc/grpc-js";

const [target = "", calls = "1", status] = process.argv.slice(2);
const asIs = (bytes: Buffer): Buffer => bytes;
const client = new Client(target, credentials.createInsecure(), {
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1, // no wait for a TXT record that is not there
});
const metadata = new Metadata();
if (status !== undefined) metadata.set("x-status", status);

function call(): Promise<string> {
  return new Promise((resolve) => {
    const deadline = Date.now() + 10_000;
    const path = "/proto.EchoTestService/Echo";
    const message = Buffer.from("\n\x05hello", "latin1");
    client.makeUnaryRequest(path, asIs, asIs, message, metadata, { deadline }, (error, answer) =>
      resolve(error === null ? `${answer?.subarray(2)}` : `failed ${error.code} ${error.details}`),
    );
  });
}

const outcomes = await Promise.all(Array.from({ length: Number(calls) }, call));
process.stdout.write(`${JSON.stringify(outcomes)}\n`);
client.close();
