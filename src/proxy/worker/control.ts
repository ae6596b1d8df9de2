/**
 * How the agent tells a worker of its pods: HTTP on a unix socket that only root may open.
 *
 *     POST   /pods/ID          an assignment; 200 once the pod's sidecar is ready, 500 with the reason where it
 *                              cannot be, 409 where it is served already
 *     GET    /pods/ID          200 where it is served, else 404
 *     POST   /pods/ID/retire   another process has taken over
 *     DELETE /pods/ID?drainMs= 200 when nothing of it is left, also where nothing was
 *     GET    /status           who is served
 *
 * The answers to the first two stay unfinished for as long as the pod is served here: the kernel ends them with the
 * process, so whoever reads one knows of every end at once, whoever started the process. Whoever leaves before the
 * first is answered takes his pod along: nobody was told that it is there.
 */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { renderError } from "../../base/error.ts";
import { parsePodAssignment } from "../assignment.ts";
import { createServer } from "../node-http.ts";
import type { WorkerPods } from "./pods.ts";

const maxBodyBytes = 1 << 20;

export function controlServer(pods: WorkerPods): Server {
  return createServer((request, response) => {
    answer(pods, request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else end(response, 500, renderError(error));
    });
  });
}

async function answer(
  pods: WorkerPods,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "" } = request;
  const url = new URL(request.url ?? "/", "http://worker");
  const [, kind, encoded = "", verb = ""] = url.pathname.split("/");
  if (kind === "status") return end(response, 200, JSON.stringify(statusOf(pods)));
  if (kind !== "pods" || encoded === "") return end(response, 404, "no such path");
  const id = decodeURIComponent(encoded);
  switch (`${method} ${verb}`) {
    case "POST ":
      return serve(pods, id, request, response);
    case "GET ":
      return follow(pods.lifeOf(id), response);
    case "POST retire":
      return pods.retire(id) ? end(response, 200, "") : end(response, 404, "no such pod");
    case "DELETE ": {
      const drainMs = url.searchParams.get("drainMs");
      await pods.remove(id, drainMs === null ? undefined : Number(drainMs));
      return end(response, 200, "");
    }
    default:
      return end(response, 405, `${method} is not for this path`);
  }
}

async function serve(
  pods: WorkerPods,
  id: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const assignment = parsePodAssignment(await bodyOf(request));
  if (pods.lifeOf(id) !== undefined) return end(response, 409, "the pod is served already");
  let isReady = false;
  const abandoned = new AbortController();
  response.once("close", () => {
    if (!isReady) abandoned.abort();
  });
  const onReady = () => {
    isReady = true;
    response.writeHead(200);
    response.flushHeaders();
  };
  await pods.serve(id, assignment, onReady, abandoned.signal);
  // It may have been told to end before it was ready.
  if (!isReady) return end(response, 500, "the pod was taken away before its sidecar was ready");
  response.end();
}

async function follow(life: Promise<void> | undefined, response: ServerResponse): Promise<void> {
  if (life === undefined) return end(response, 404, "no such pod");
  response.writeHead(200);
  response.flushHeaders();
  await life;
  response.end();
}

function statusOf(pods: WorkerPods): unknown {
  const residentMegabytes = Math.round(process.memoryUsage.rss() / 2 ** 20);
  return { worker: pods.name, pid: process.pid, residentMegabytes, pods: pods.status };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) throw new RangeError(`more than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function end(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status);
  response.end(body);
}
