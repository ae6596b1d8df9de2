/**
 * Requests to the API server: one at a time over kept-alive connections, or one that streams lines.
 *
 * Over the unix socket of the server's own machine, or over HTTPS with a token and the roots that the bootstrap
 * document names (no other root is trusted). A connection that the server closed while it lay idle is not an error of
 * the request: reads are sent once more on a fresh one; writes are not, since the first may have arrived.
 */

import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { MeshError } from "../base/error.ts";
import type { Secret } from "../base/secret.ts";

export type Endpoint =
  | { readonly kind: "socket"; readonly path: string }
  | {
      readonly kind: "https";
      /** `https://192.0.2.1:6443`. */
      readonly url: string;
      readonly token: Secret<string>;
      /** PEM. */
      readonly roots: string;
    };

export interface TransportRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly body?: unknown;
  readonly mediaType?: string;
  readonly signal?: AbortSignal;
}

export interface TransportResponse {
  readonly code: number;
  readonly body: unknown;
  /** What the server warned of, one text each. */
  readonly warnings: readonly string[];
}

export interface HttpTransport {
  /** Throws MeshError `api.unreachable` where no answer came. */
  send(request: TransportRequest): Promise<TransportResponse>;
  /**
   * The lines of an endless answer; ends when the server ends it, throws `api.unreachable` when it breaks or when
   * nothing came for `silenceMs`. An answer other than 200 is returned through `refused`, which must throw.
   */
  lines(
    request: TransportRequest,
    silenceMs: number,
    refused: (response: TransportResponse) => never,
  ): AsyncIterable<string>;
  close(): void;
}

/** A request without an answer for this long is lost; long polls say so themselves with `signal`. */
const answerTimeoutMs = 60_000;
/**
 * Connections for requests; more requests wait for one. A burst on more would overrun the listener's backlog, which a
 * unix socket answers with EAGAIN. Streams have connections of their own and are not counted.
 */
const maxConnections = 32;

export function httpTransport(endpoint: Endpoint): HttpTransport {
  const open = opener(endpoint);
  const where = endpoint.kind === "socket" ? endpoint.path : endpoint.url;

  function unreachable(request: TransportRequest, cause: unknown): MeshError {
    return new MeshError("api.unreachable", `${request.method} ${request.path} at ${where}`, {
      cause,
      fault: "peer",
      retryable: true,
    });
  }

  function start(
    request: TransportRequest,
    use: Use,
    mayRepeat: boolean,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const text = request.body === undefined ? undefined : JSON.stringify(request.body);
      const outgoing = open.request(request, use, text);
      outgoing.on("response", resolve);
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        const staleConnection =
          mayRepeat && outgoing.reusedSocket && ["ECONNRESET", "EPIPE"].includes(error.code ?? "");
        if (!staleConnection) reject(unreachable(request, error));
        else start(request, use, false).then(resolve, reject);
      });
      outgoing.setTimeout(answerTimeoutMs, () =>
        outgoing.destroy(new Error(`no answer for ${answerTimeoutMs} ms`)),
      );
      outgoing.end(text);
    });
  }

  async function read(request: TransportRequest, message: IncomingMessage) {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch (error) {
      throw unreachable(request, error);
    }
    return responseOf(message, Buffer.concat(chunks).toString("utf8"));
  }

  return {
    async send(request) {
      return read(request, await start(request, "answer", request.method === "GET"));
    },

    async *lines(request, silenceMs, refused) {
      const message = await start(request, "stream", false);
      if (message.statusCode !== 200) refused(await read(request, message));
      message.socket.setTimeout(silenceMs, () =>
        message.destroy(new Error(`silent for ${silenceMs} ms`)),
      );
      const decoder = new TextDecoder();
      let rest = "";
      try {
        for await (const chunk of message as AsyncIterable<Buffer>) {
          const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
          rest = lines.pop() ?? "";
          yield* lines;
        }
      } catch (error) {
        throw unreachable(request, error);
      } finally {
        message.destroy();
      }
    },

    close: () => open.close(),
  };
}

type Use = "answer" | "stream";

function opener(endpoint: Endpoint) {
  const isSocket = endpoint.kind === "socket";
  const roots = isSocket ? {} : { ca: endpoint.roots };
  const agents = {
    answer: isSocket
      ? new HttpAgent({ keepAlive: true, maxSockets: maxConnections })
      : new HttpsAgent({ keepAlive: true, maxSockets: maxConnections, ...roots }),
    stream: isSocket ? new HttpAgent() : new HttpsAgent(roots),
  };
  const place = isSocket ? { socketPath: endpoint.path } : hostOf(endpoint.url);
  const send = isSocket ? httpRequest : httpsRequest;
  return {
    request: (request: TransportRequest, use: Use, text: string | undefined) =>
      send({
        ...place,
        agent: agents[use],
        method: request.method,
        path: request.path,
        ...(request.signal && { signal: request.signal }),
        headers: {
          accept: "application/json",
          ...(text !== undefined && {
            "content-type": request.mediaType ?? "application/json",
            "content-length": Buffer.byteLength(text),
          }),
          ...(!isSocket && { authorization: `Bearer ${endpoint.token.reveal()}` }),
        },
      }),
    close: () => {
      agents.answer.destroy();
      agents.stream.destroy();
    },
  };
}

function hostOf(url: string) {
  const { hostname, port } = new URL(url);
  // URLs write IPv6 addresses in brackets, sockets do not.
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: port || 443 };
}

function responseOf(message: IncomingMessage, text: string): TransportResponse {
  const warnings = (message.headers["warning"] ?? "").matchAll(/299 - "((?:[^"\\]|\\.)*)"/g);
  return {
    code: message.statusCode ?? 0,
    body: parsed(text),
    warnings: [...warnings].map(([, quoted = ""]) => quoted.replaceAll(/\\(.)/g, "$1")),
  };
}

function parsed(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}
