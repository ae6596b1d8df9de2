/**
 * Where a sidecar answers questions about itself: three ports in the pod's namespace, and a socket on the agent's path.
 *
 * A successor takes the ports over with the rest of what its predecessor listens on (succession.ts), and the path by
 * renaming its own socket to it.
 */

import { closeSync, renameSync } from "node:fs";
import type { Server } from "node:http";
import { ports } from "../model/names.ts";
import type { ProxyBootstrap } from "./assignment.ts";
import {
  type AdminActions,
  adminServer,
  listen,
  metricsServer,
  readinessServer,
} from "./observe/admin.ts";
import type { Sidecar } from "./sidecar.ts";
import { type Legacy, listeningDescriptor } from "./succession.ts";

export interface Desks {
  open(): Promise<void>;
  /** A successor answers from now on. */
  leave(): void;
  close(): void;
}

const deskAddresses: ReadonlyMap<string, readonly [host: string, port: number]> = new Map(
  [
    ["127.0.0.1", ports.admin] as const,
    ["0.0.0.0", ports.metrics] as const,
    ["0.0.0.0", ports.readiness] as const,
  ].map((address) => [address.join(":"), address]),
);

/** Which of a predecessor's sockets are desks', and which are captured traffic's. */
export function sortSockets(sockets: Legacy["sockets"]): {
  readonly desks: Legacy["sockets"];
  readonly captures: Legacy["sockets"];
} {
  const isDesk = ([key]: readonly [string, number]) => deskAddresses.has(key);
  return {
    desks: new Map([...sockets].filter(isDesk)),
    captures: new Map([...sockets].filter((each) => !isDesk(each))),
  };
}

/** `inherited`: a predecessor's sockets, by address; what is not opened is closed. */
export function openDesks(
  sidecar: Sidecar,
  { adminSocket }: Pick<ProxyBootstrap, "adminSocket">,
  given: Omit<AdminActions, "legacy">,
  inherited: Legacy["sockets"],
): Desks {
  const unused = new Map(inherited);
  const { sockets: podSockets } = sidecar.runtime.environment;
  const servers = new Map<string, Server>();
  const legacy = (): Legacy => {
    const own = [...servers].flatMap(([key, server]) => {
      const descriptor = listeningDescriptor(server);
      return descriptor === undefined ? [] : [[key, descriptor] as const];
    });
    return { ...sidecar.legacy, sockets: new Map([...sidecar.legacy.sockets, ...own]) };
  };
  const actions: AdminActions = { ...given, legacy };
  const serverAt = (port: number): Server => {
    if (port === ports.admin) return adminServer(sidecar, actions);
    return port === ports.metrics ? metricsServer(sidecar) : readinessServer(sidecar);
  };
  const onPath = adminServer(sidecar, actions);
  const closeServers = (how: (server: Server) => void) => {
    for (const server of servers.values()) how(server);
    servers.clear();
  };
  return {
    async open() {
      for (const [key, [host, port]] of deskAddresses) {
        const server = serverAt(port);
        const descriptor = unused.get(key) ?? podSockets.bind(host, port);
        unused.delete(key);
        await listen(server, descriptor === undefined ? { host, port } : { fd: descriptor });
        servers.set(key, server);
      }
      // Node removes the path that a server listened on when it closes: that must not be the one that a successor has.
      const path = `${adminSocket}.${process.pid}`;
      await listen(onPath, { path });
      renameSync(path, adminSocket);
    },
    leave: () => closeServers((server) => server.close()),
    close() {
      closeServers((server) => {
        server.close();
        server.closeAllConnections();
      });
      for (const descriptor of unused.values()) closeSync(descriptor);
      unused.clear();
      onPath.close();
      onPath.closeAllConnections();
    },
  };
}
