/** `npm run fuzz -- NAME [--count N] [--seed S]`: fuzzes the codecs whose name begins so; ten million inputs each. */

import { parseArgs } from "node:util";
import { chunkedBodies } from "./chunks.ts";
import { dnsMessages } from "./dns.ts";
import { proxyHeaders, tlsHellos } from "./first-bytes.ts";
import { grpcWebText } from "./grpc-web.ts";
import { http1Requests, http1Responses } from "./http1.ts";
import { hpackBlocks, http2Client, http2Server } from "./http2.ts";
import { grpcWords, targets as requestTargets } from "./requests.ts";
import { type FuzzTarget, fuzz } from "./target.ts";
import { tlsRecords } from "./tls-records.ts";
import { xdsMessages, xdsResources } from "./xds.ts";

const targets: readonly FuzzTarget[] = [
  http1Requests,
  http1Responses,
  chunkedBodies,
  requestTargets,
  grpcWords,
  grpcWebText,
  hpackBlocks,
  http2Server,
  http2Client,
  proxyHeaders,
  tlsHellos,
  tlsRecords,
  dnsMessages,
  xdsMessages,
  xdsResources,
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: "string", default: "10000000" },
    seed: { type: "string", default: "1" },
  },
});
const wanted = positionals[0] ?? "";
const chosen = targets.filter(({ name }) => name.startsWith(wanted));
if (chosen.length === 0) {
  const names = [...new Set(targets.map(({ name }) => name.split(" ")[0]))].join(", ");
  process.stderr.write(`no codec is named ${wanted}: there are ${names}\n`);
  process.exit(2);
}
for (const target of chosen) {
  const report = fuzz(target, Number(values.count), Number(values.seed));
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
