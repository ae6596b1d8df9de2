/**
 * How the agent and the node's name server speak: HTTP on a unix socket in the agent's run folder.
 *
 * - `GET /`: who serves, and with which names (`NameServerState`).
 * - `PUT /names`: a `NamesUpdate`; 409 where it starts from other names than are here.
 * - `GET /metrics`: Prometheus text.
 *
 * Only root may connect. The name server goes on without its agent, which is what it is for.
 */

import { chmodSync, renameSync } from "node:fs";
import { createServer, type IncomingMessage, request } from "node:http";
import { MeshError } from "../../base/error.ts";

export interface NameServerState {
  readonly pid: number;
  /** How it was started: an agent that would start another one replaces it. */
  readonly tag: string;
  /** Of the names that it has; 0: none yet. */
  readonly version: number;
  /** Lookups reach it. */
  readonly isListening: boolean;
}

export interface ControlHandlers {
  readonly state: () => NameServerState;
  /** False where the update starts from other names. Throws SyntaxError for what is no update. */
  readonly update: (text: string) => boolean;
  readonly metrics: () => string;
}

const answerWithinMs = 5_000;

/** Serves until disposed. A socket that is there is replaced by rename, so that there always is one. */
export async function serveControl(
  path: string,
  handlers: ControlHandlers,
): Promise<AsyncDisposable> {
  const server = createServer((incoming, response) => {
    const answer = (status: number, body: string) => {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
      response.end(body);
    };
    switch (`${incoming.method} ${incoming.url}`) {
      case "GET /":
        return answer(200, JSON.stringify(handlers.state()));
      case "GET /metrics":
        return answer(200, handlers.metrics());
      case "PUT /names":
        void textOf(incoming).then(
          (text) => answer(...updateAnswer(handlers, text)),
          () => undefined,
        );
        return;
      default:
        return answer(404, "no such path\n");
    }
  });
  // A connection of the agent stands for this process's life (running-process.ts).
  server.keepAliveTimeout = 0;
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  const fresh = `${path}.${process.pid}`;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(fresh, resolve);
  });
  chmodSync(fresh, 0o600);
  renameSync(fresh, path);
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function updateAnswer(handlers: ControlHandlers, text: string): [status: number, body: string] {
  try {
    return handlers.update(text) ? [200, ""] : [409, "starts from other names\n"];
  } catch (error) {
    return [400, `${error instanceof Error ? error.message : error}\n`];
  }
}

/** Asks the name server behind the socket; undefined where nobody answers. */
export async function askNameServer(
  path: string,
  method: "GET" | "PUT",
  what: string,
  body = "",
): Promise<{ readonly status: number; readonly text: string } | undefined> {
  try {
    return await new Promise((resolve, reject) => {
      const asked = request({ socketPath: path, method, path: what, agent: false }, (response) => {
        textOf(response).then(
          (text) => resolve({ status: response.statusCode ?? 0, text }),
          reject,
        );
      });
      asked.setTimeout(answerWithinMs, () => {
        asked.destroy(new MeshError("dns.control.silent", `ask the name server at ${path}`));
      });
      asked.once("error", reject);
      asked.end(body);
    });
  } catch {
    return undefined;
  }
}

/** The name server's own words about itself; undefined where nobody answers, or somebody else. */
export async function nameServerState(path: string): Promise<NameServerState | undefined> {
  const answer = await askNameServer(path, "GET", "/");
  return answer?.status === 200 ? (JSON.parse(answer.text) as NameServerState) : undefined;
}

async function textOf(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
