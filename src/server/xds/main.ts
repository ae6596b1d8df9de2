/**
 * The control plane's gRPC port: configuration to agents and sidecars as the world changes, and certificates.
 *
 * There is no debounce: a change is compiled and written at once. What keeps a burst from becoming a storm is that
 * worlds coalesce before they get here and that each client has one round under way at a time.
 */

import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { serveDelta } from "../../rpc/ads-server.ts";
import { serveGrpc } from "../../rpc/grpc-server.ts";
import { methods } from "../../rpc/methods.ts";
import { nodeTypes, proxyTypes } from "../../wire/xds/resources.ts";
import type { XdsServer, XdsServerOptions } from "../xds-server.ts";
import { authorizeClient } from "./authorize.ts";
import { certify } from "./certificates.ts";
import { type ClientStatus, Clients } from "./clients.ts";
import { Configurations } from "./configuration.ts";
import { Pushes, showAllTypes } from "./pushes.ts";

export type { ClientStatus };

export interface RunningXdsServer extends XdsServer {
  status(): readonly ClientStatus[];
  waitForVersion(version: number, signal: AbortSignal): Promise<readonly ClientStatus[]>;
}

export async function startXdsServer(options: XdsServerOptions): Promise<RunningXdsServer> {
  const { world, clock, log, metrics } = options;
  const clients = new Clients({
    configurations: new Configurations(),
    current: () => world.current(),
    clock,
    log,
    failed: () => metrics.internalErrors.add(1),
  });
  showAllTypes(metrics);
  metrics.registry.onCollect(() => {
    const count = clients.counts();
    metrics.sidecars.set(count.sidecar);
    metrics.agents.set(count.agent);
  });
  const server = await serveGrpc(
    { kind: "tls", ...options.listen, ...options.tls },
    {
      streams: {
        [methods.deltaResources]: serveDelta((first, metadata) => {
          const { client, node } = authorizeClient(first.node, metadata, options);
          if (client.kind === "agent") {
            return {
              types: nodeTypes,
              opened: (session, end) => clients.add({ client, node, session, end }),
              changed: () => clients.changed(),
            };
          }
          const pushes = new Pushes(metrics, () => clock.now());
          return {
            types: proxyTypes,
            opened: (session, end) => clients.add({ client, node, session, end, pushes }),
            changed: ({ settled }) => {
              if (settled !== undefined) pushes.settled(settled);
              clients.changed();
            },
            sent: (response, bytes) => pushes.sent(response, bytes),
            refused: (typeUrl) => pushes.refused(typeUrl),
          };
        }, log),
      },
      calls: {
        [methods.createCertificate]: (request, metadata) => certify(request, metadata, options),
      },
    },
  );
  const stop = new AbortController();
  const following = follow(options, clients, stop.signal);
  return {
    port: server.port,
    status: () => clients.status(),
    waitForVersion: (version, signal) => clients.settled(version, signal),
    close: async () => {
      stop.abort();
      await server.close();
      await following;
    },
  };
}

async function follow(
  { world, log, clock }: { world: XdsServerOptions["world"]; log: Log; clock: Clock },
  clients: Clients,
  signal: AbortSignal,
): Promise<void> {
  for await (const next of world.changes(signal)) {
    const started = clock.now();
    clients.offerAll(next);
    log.debug("world offered", { version: next.version, tookMs: clock.now() - started });
  }
}
