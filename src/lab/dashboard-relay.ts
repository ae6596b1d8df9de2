/**
 * The dashboard of a lab, for a browser on this machine: a listener on loopback that carries bytes to the server's
 * socket.
 *
 * The server is in a namespace that no browser can reach, and its unix socket is in a folder that only root can. The
 * listener is the one thing of a lab that is outside its namespaces; it is the lab's own process that has it, so it
 * ends with the lab however that ends. Who may see anything is the server's business: a connection alone shows the
 * sign-in.
 */

import { readFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { MeshError } from "../base/error.ts";
import { ports } from "../model/names.ts";
import type { LabPaths } from "./names.ts";

export interface DashboardRelay {
  readonly port: number;
  close(): void;
}

/** A port that must be it; without, the usual one or the next free one. */
export type DashboardPort = { readonly kind: "usual" } | { readonly kind: "exactly"; port: number };

const portsTried = 20;
const maxConnections = 256; // a browser has at most six to a host

/** Throws `lab.dashboard.port` where the port that was asked for is taken. */
export async function relayDashboard(
  paths: LabPaths,
  wanted: DashboardPort,
): Promise<DashboardRelay> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (browser) => {
    const upstream = connect({ path: paths.dashboardSocket, allowHalfOpen: true });
    for (const [from, to] of [
      [browser, upstream],
      [upstream, browser],
    ] as const) {
      open.add(from);
      from.once("close", () => {
        open.delete(from);
        to.destroy();
      });
      from.on("error", () => {}); // "close" follows
      from.pipe(to);
    }
  });
  server.maxConnections = maxConnections;
  return {
    port: await listenOn(server, wanted),
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** Where a browser is signed in at once: the token is in the fragment, which no request carries and no log shows. */
export function dashboardUrl(paths: LabPaths, port: number): string {
  const token = readFileSync(paths.adminToken, "utf8").trim();
  return `http://127.0.0.1:${port}/#token=${token}`;
}

async function listenOn(server: Server, wanted: DashboardPort): Promise<number> {
  if (wanted.kind === "exactly") {
    return listen(server, wanted.port).catch((cause) => {
      throw new MeshError(
        "lab.dashboard.port",
        `listen on 127.0.0.1:${wanted.port} for the dashboard; choose another with --dashboard-port, or 0 for none`,
        { cause, fault: "user" },
      );
    });
  }
  for (let port: number = ports.dashboard; port < ports.dashboard + portsTried; port++) {
    const got = await listen(server, port).catch(() => undefined);
    if (got !== undefined) return got;
  }
  return listen(server, 0);
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port }, () => {
      server.off("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}
