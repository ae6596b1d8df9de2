/**
 * Answers load balancers that ask whether this node has an endpoint of a Service whose traffic stays on the node.
 *
 * As kube-proxy does: `GET /` at the Service's `healthCheckNodePort` is 200 with the number of endpoints here, or 503
 * with none. Servers follow the view; one whose port somebody else has is tried again with the next view.
 */

import { createServer, type Server } from "node:http";
import { renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { usableEndpoints } from "../core/dataplane/services/usable.ts";
import type { NodeView, ServiceView } from "../model/node-view.ts";

interface Opened {
  readonly server: Server;
  body: string;
  status: 200 | 503;
}

export class HealthPorts {
  readonly #log: Log;
  readonly #open = new Map<number, Opened>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** The ports that are answered. */
  get ports(): readonly number[] {
    return [...this.#open.keys()];
  }

  show(view: NodeView): void {
    const wanted = new Map<number, ServiceView>();
    for (const service of view.services) {
      if (service.healthCheckNodePort !== undefined) {
        wanted.set(service.healthCheckNodePort, service);
      }
    }
    for (const [port, { server }] of this.#open) {
      if (wanted.has(port)) continue;
      this.#open.delete(port);
      close(server);
    }
    for (const [port, service] of wanted) this.#answer(port, service, view);
  }

  close(): void {
    for (const { server } of this.#open.values()) close(server);
    this.#open.clear();
  }

  #answer(port: number, service: ServiceView, view: NodeView): void {
    const count = localEndpoints(service, view);
    const { namespace, name } = service;
    const body = `${JSON.stringify({ service: { namespace, name }, localEndpoints: count })}\n`;
    const status = count > 0 ? 200 : 503;
    const opened = this.#open.get(port);
    if (opened !== undefined) {
      opened.body = body;
      opened.status = status;
      return;
    }
    const server = createServer((_, response) => {
      const now = this.#open.get(port);
      response.writeHead(now?.status ?? 503, { "content-type": "application/json" });
      response.end(now?.body);
    });
    this.#open.set(port, { server, body, status });
    server.on("error", (error) => {
      if (this.#open.get(port)?.server === server) this.#open.delete(port);
      this.#log.warn("health checks of a Service are not answered", {
        service: `${namespace}/${name}`,
        port,
        error: renderError(error),
      });
    });
    server.listen(port);
    server.unref();
  }
}

/** Endpoints here, of the port that has fewest: a node that lacks one port would lose its connections. */
function localEndpoints(service: ServiceView, { node }: NodeView): number {
  const counts = service.ports.map((port) =>
    Math.max(
      ...(["IPv4", "IPv6"] as const).map(
        (family) => usableEndpoints(port, family, { node }).local.length,
      ),
    ),
  );
  return counts.length === 0 ? 0 : Math.min(...counts);
}

function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}
