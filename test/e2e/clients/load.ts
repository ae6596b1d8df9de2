/**
 * A load client that runs inside a pod: `load.ts URL CONCURRENCY (--requests N | --seconds S | --until FILE) [--fresh]`.
 *
 * Each of CONCURRENCY workers asks one request after the other (`--fresh`: on a new connection each) and remembers who
 * answered; five more each once FILE is there. With `grpc://host:port` they are unary calls on one channel; with `tcp://host:port` each worker has one connection
 * to a server that answers each line with `hello` and the line, of which not a byte may be missing. Prints one line of
 * JSON, a `LoadReport`, when done. `ready` is printed first, when every worker has had its first answer: a test disturbs the system only then.
 */

import { once } from "node:events";
import { existsSync } from "node:fs";
import http from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Client, credentials } from "@grpc/grpc-js";
import type { LoadReport } from "../load-report.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    requests: { type: "string" },
    seconds: { type: "string" },
    until: { type: "string" },
    fresh: { type: "boolean", default: false },
  },
});
const [url = "", concurrency = "1"] = positionals;
const workers = Number(concurrency);
const most = values.requests === undefined ? Number.POSITIVE_INFINITY : Number(values.requests);
const end = values.seconds === undefined ? undefined : Date.now() + Number(values.seconds) * 1000;
const lastRequests = 5;
const agent = new http.Agent({ keepAlive: !values.fresh, maxSockets: workers });

const report: LoadReport = { requests: 0, statuses: {}, failures: [], answers: [] };
let started = 0;
let warm = 0;

const target = new URL(url);
const channel =
  target.protocol === "grpc:"
    ? new Client(target.host, credentials.createInsecure(), {
        "grpc.enable_retries": 0,
        "grpc.service_config_disable_resolution": 1, // no wait for a TXT record that is not there
      })
    : undefined;

await Promise.all(Array.from({ length: workers }, worker));
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());

async function worker(): Promise<void> {
  const request = asker();
  for (let first = true; started < most && (end === undefined || Date.now() < end); first = false) {
    started++;
    await request();
    if (first && ++warm === workers) process.stdout.write("ready\n");
    if (values.until === undefined || !existsSync(values.until)) continue;
    for (let last = 0; last < lastRequests; last++) await request();
    return;
  }
}

/** How one worker asks. */
function asker(): () => Promise<void> {
  if (target.protocol === "tcp:") return converse();
  return channel === undefined ? request : () => call(channel);
}

/** Lines of all lengths up to some segments; once the connection is cut off, each fails. */
function converse(): () => Promise<void> {
  const socket = connect(Number(target.port), target.hostname);
  let end = "no answer within 10 s";
  socket.on("error", (error) => {
    end = `cut off: ${error.message}`;
  });
  const answers = createInterface({ input: socket, crlfDelay: 0 });
  answers.on("error", () => {}); // the socket says what is wrong
  let number = 0;
  return async () => {
    const at = Date.now();
    const line = `${++number} ${"abcdefghij".repeat(number % 700)}`;
    socket.write(`${line}\n`);
    const answer: unknown[] = await once(answers, "line", {
      signal: AbortSignal.timeout(10_000),
    }).catch(() => []);
    if (answer[0] === `hello ${line}`) report.requests++;
    else
      report.failures.push({
        at,
        what: `line ${number}: ${String(answer[0] ?? end).slice(0, 80)}`,
      });
  };
}

async function call(client: Client): Promise<void> {
  const asIs = (bytes: Buffer): Buffer => bytes;
  const path = "/proto.EchoTestService/Echo";
  const message = Buffer.from("\n\x05hello", "latin1");
  const at = Date.now();
  const failure = await new Promise<string | undefined>((resolve) => {
    client.makeUnaryRequest(path, asIs, asIs, message, { deadline: at + 10_000 }, (error) =>
      resolve(error === null ? undefined : `${error.code} ${error.details}`),
    );
  });
  if (failure === undefined) report.requests++;
  else report.failures.push({ at, what: failure });
}

function request(): Promise<void> {
  const at = Date.now();
  return new Promise((resolve) => {
    const fail = (what: string): void => {
      report.failures.push({ at, what });
      resolve();
    };
    const sent = http.get(url, { agent, timeout: 10_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", (error) => fail(error.message));
      response.on("end", () => {
        report.requests++;
        const status = String(response.statusCode);
        report.statuses[status] = (report.statuses[status] ?? 0) + 1;
        const body = Buffer.concat(chunks).toString();
        if (response.statusCode !== 200) return fail(`${status} ${summary(body)}`);
        const { pod = "", version = "" } = JSON.parse(body) as { pod?: string; version?: string };
        report.answers.push({ at, pod, version });
        resolve();
      });
    });
    sent.on("timeout", () => sent.destroy(new Error("timed out after 10 s")));
    sent.on("error", (error) => fail(error.message));
  });
}

/** The end of an answer: there stands what an application says of the services it called. */
function summary(body: string): string {
  return body.length > 300 ? `…${body.slice(-300)}` : body;
}
