/**
 * The application's side of the soak: asks through its sidecar without a pause and counts what does not come back.
 *
 *   node test/soak/client.ts HTTP_URL TCP_PORT          until SIGTERM; one line of JSON in the end
 *
 * Sixteen connections of HTTP/1.1 that stay, two that are new each time, four streams of HTTP/2, one tunnel. Nothing is
 * tried again, but streams that HTTP/2 says were not looked at.
 */

import { Agent, request } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const [url = "", tcpPort = ""] = process.argv.slice(2);
const host = new URL(url).hostname;
const counts = { kept: 0, fresh: 0, http2: 0, tunnel: 0, refused: 0 };
const failures: string[] = [];
let isOver = false;
process.once("SIGTERM", () => {
  isOver = true;
});

function fail(what: string): void {
  if (failures.length < 100) failures.push(`${new Date().toISOString()} ${what}`);
}

async function loop(kind: keyof typeof counts, ask: () => Promise<string>): Promise<void> {
  while (!isOver) {
    const answer = await ask();
    if (answer === "200 ok") counts[kind]++;
    else fail(`${kind}: ${answer}`);
    await sleep(10 + Math.random() * 60);
  }
}

function ask(agent: Agent | false): Promise<string> {
  return new Promise((resolve) => {
    const sent = request(url, { agent, timeout: 10_000 }, (response) => {
      let text = "";
      response.on("data", (bytes) => {
        text += bytes;
      });
      response.on("error", (error) => resolve(error.message));
      response.on("end", () => resolve(`${response.statusCode} ${text}`));
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer")));
    sent.on("error", (error) => resolve(error.message));
    sent.end();
  });
}

let session: ClientHttp2Session | undefined;

/** One that takes requests: a session that was told to go away takes none. */
function openSession(): ClientHttp2Session {
  if (session === undefined || session.closed || session.destroyed) {
    session = connectHttp2(url);
    session.on("error", (error) => fail(`http2 session: ${error.message}`));
  }
  return session;
}

/** A stream that met GOAWAY on its way was not looked at, says its error: whoever speaks HTTP/2 asks again (RFC 9113 §8.7). */
async function askHttp2(): Promise<string> {
  for (;;) {
    const answer = await tryHttp2();
    if (!answer.includes("REFUSED_STREAM")) return answer;
    counts.refused++;
  }
}

function tryHttp2(): Promise<string> {
  return new Promise((resolve) => {
    const stream = openSession().request({ ":path": "/" });
    let status = 0;
    let text = "";
    stream.setTimeout(10_000, () => stream.close());
    stream.on("response", (headers) => {
      status = Number(headers[":status"]);
    });
    stream.on("data", (bytes) => {
      text += bytes;
    });
    stream.on("error", (error) => resolve(error.message));
    stream.on("close", () => resolve(`${status} ${text}`));
    stream.end();
  });
}

const tunnel = connect(Number(tcpPort), host);
tunnel.on("error", (error) => fail(`tunnel: ${error.message}`));
tunnel.on("close", () => {
  if (!isOver) fail("tunnel: closed");
});

function askTunnel(): Promise<string> {
  return new Promise((resolve) => {
    if (tunnel.destroyed) return resolve("gone");
    tunnel.once("data", (bytes: Buffer) => resolve(`200 ${bytes}`));
    tunnel.write("ok");
  });
}

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
const workers = [
  ...Array.from({ length: 16 }, () => loop("kept", () => ask(agent))),
  ...Array.from({ length: 2 }, () => loop("fresh", () => ask(false))),
  ...Array.from({ length: 4 }, () => loop("http2", askHttp2)),
  loop("tunnel", askTunnel),
];
await Promise.all(workers);
process.stdout.write(`${JSON.stringify({ counts, failures })}\n`);
process.exit();
