/**
 * `heddle server`: the whole control plane in one process.
 *
 * Everything it must remember is in its data folder, on disk before it is acknowledged: killed at any moment and
 * started again, it has the same objects, the same root and accepts the same tokens. The store's lock makes sure that
 * there is one server to a folder.
 */

import { chmod, rm } from "node:fs/promises";
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { isIP, type ListenOptions } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import type { Clock } from "../base/clock.ts";
import { MeshError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { Scope } from "../base/scope.ts";
import { ports, trustDomain } from "../model/names.ts";
import { openAuthority } from "../pki/authority.ts";
import { sqliteStore } from "../store/sqlite.ts";
import { extensions } from "./api/extensions.ts";
import { type ApiOptions, apiHandler } from "./api/handler.ts";
import { openNodeTokens } from "./api/node-tokens.ts";
import { openObjects } from "./api/objects.ts";
import { openServiceAddresses } from "./api/service-addresses.ts";
import { controllers } from "./controllers/all.ts";
import { runController } from "./controllers/run.ts";
import { openDashboard } from "./dashboard/open.ts";
import { keptAuthority, openDataFolder } from "./data-folder.ts";
import { createFirstObjects } from "./first-objects.ts";
import { measure, serverMetrics } from "./metrics.ts";
import { metricsServer } from "./metrics-port.ts";
import { EventStream } from "./observe/event-stream.ts";
import { Observatory } from "./observe/observatory.ts";
import { openWorld } from "./world.ts";
import type { StartXdsServer, XdsServer } from "./xds-server.ts";

export interface ServerOptions {
  readonly dataDir: string;
  /** Where agents reach the server; ports are 6443, 15012 and 15014 unless given (0: any free one). */
  readonly listen: {
    readonly host: string;
    readonly apiPort?: number;
    readonly xdsPort?: number;
    readonly metricsPort?: number;
  };
  /** The address that bootstrap documents name, where it is not the one listened on. */
  readonly advertise?: string;
  /** Folder of the built dashboard; without, or where it is empty, there is none. */
  readonly dashboardDir?: string;
}

export interface ServerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly startXdsServer: StartXdsServer;
}

export interface RunningServer {
  readonly apiPort: number;
  readonly xdsPort: number;
  readonly metricsPort: number;
  readonly adminSocket: string;
  readonly rootPem: string;
  /** Resolves when the signal has ended it and everything is closed. */
  readonly closed: Promise<void>;
}

/** Runs until the signal; throws where it cannot start. */
export async function runServer(
  options: ServerOptions,
  deps: ServerDeps,
  signal: AbortSignal,
): Promise<void> {
  const { closed } = await startServer(options, deps, signal);
  await closed;
}

/** Resolves when every socket listens. */
export async function startServer(
  options: ServerOptions,
  deps: ServerDeps,
  signal: AbortSignal,
): Promise<RunningServer> {
  const { clock, random, log } = deps;
  const now = () => clock.now();
  await using starting = new Scope();
  const closing = new Scope();
  const ended = new AbortController();
  starting.onFailure(() => {
    ended.abort();
    return closing[Symbol.asyncDispose]();
  });

  const folder = await openDataFolder(options.dataDir);
  const store = sqliteStore(folder.store, { now });
  closing.onExit(() => store.close());
  const addresses = await openServiceAddresses(store);
  const objects = openObjects({ store, addresses, now, random });
  await createFirstObjects(objects);
  const tokens = await openNodeTokens(store, objects);
  const world = await openWorld(store, ended.signal);
  const authority = await openAuthority(await keptAuthority(folder, trustDomain, now), now);
  const dashboard = await openDashboard(folder, options.dashboardDir, tokens, clock);
  const host = options.listen.host;
  const advertised = options.advertise ?? (isEveryAddress(host) ? "127.0.0.1" : host);
  const certificate = await authority.issueServer(...namesOf([host, advertised]));

  const metrics = serverMetrics();
  measure(metrics.registry, { world: () => world.current(), rootPem: authority.rootPem, now });

  const started: { apiPort?: number; xds?: XdsServer } = {};
  const xds = () => {
    if (started.xds !== undefined) return started.xds;
    throw new MeshError("server.starting", "ask xDS: the server is starting", { retryable: true });
  };
  const observatory = new Observatory(world, now, random);
  const eventStream = new EventStream(observatory);
  closing.onExit(() => {
    eventStream.close();
    observatory.taps.close();
  });
  const shared: Omit<ApiOptions, "authenticate"> = {
    store,
    objects,
    log,
    signal: ended.signal,
    extensions: extensions({
      tokens,
      world,
      rootPem: authority.rootPem,
      xds,
      observatory,
      eventStream,
      addresses: () => ({
        api: `https://${inUrl(advertised)}:${started.apiPort}`,
        xds: `${inUrl(advertised)}:${xds().port}`,
      }),
    }),
  };

  const xdsServer = await deps.startXdsServer({
    listen: { host, port: options.listen.xdsPort ?? ports.xds },
    tls: certificate,
    world,
    authenticate: (token) => {
      const node = tokens.authenticate(token);
      return node === undefined ? undefined : { node };
    },
    issueCertificate: (csrPem, identity) => authority.issueWorkload(csrPem, identity),
    log: log.with({ part: "xds" }),
    clock,
    metrics,
  });
  started.xds = xdsServer;
  closing.onExit(() => xdsServer.close());

  const https = createHttpsServer(
    { key: certificate.keyPem.reveal(), cert: certificate.certPem, minVersion: "TLSv1.2" },
    dashboard.handler(shared, true),
  );
  started.apiPort = await listen(https, { host, port: options.listen.apiPort ?? ports.api });
  closing.onExit(() => close(https));

  const monitoring = metricsServer(metrics.registry);
  const where = { host, port: options.listen.metricsPort ?? ports.monitoring };
  const metricsPort = await listen(monitoring, where);
  closing.onExit(() => close(monitoring));

  const admin = createHttpServer(
    apiHandler({ ...shared, authenticate: () => ({ kind: "admin" }) }),
  );
  await listenPrivately(admin, folder.adminSocket);
  closing.onExit(() => close(admin));
  const browsers = createHttpServer(dashboard.handler(shared, false));
  await listenPrivately(browsers, folder.dashboardSocket);
  closing.onExit(() => close(browsers));

  for (const controller of controllers) {
    const running = runController(controller, { world, objects, clock, random, log }, ended.signal);
    closing.onExit(() => running);
  }

  starting.succeed();
  closing.onExit(() => ended.abort());
  log.info("server ready", { data: options.dataDir, host, api: started.apiPort, xds: xds().port });
  return {
    apiPort: started.apiPort,
    xdsPort: xds().port,
    metricsPort,
    adminSocket: folder.adminSocket,
    rootPem: authority.rootPem,
    closed: aborted(signal).then(() => closing[Symbol.asyncDispose]()),
  };
}

/** On a unix socket that only the server's user can open. */
async function listenPrivately(server: Server, path: string): Promise<void> {
  // The store's lock says that no other server runs here, so a socket that is there is a dead one's.
  await rm(path, { force: true });
  const umask = process.umask(0o177);
  const listening = listen(server, { path });
  process.umask(umask);
  await listening;
  await chmod(path, 0o600);
}

function listen(server: Server, where: ListenOptions): Promise<number> {
  // Longer than clients keep theirs, so that it is they who end an idle connection.
  server.keepAliveTimeout = 120_000;
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const place = where.path ?? `${where.host}:${where.port}`;
      reject(new MeshError("server.listen", `listen on ${place}`, { cause, fault: "host" }));
    });
    server.listen(where, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function isEveryAddress(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** DNS names and addresses for the server's certificate: what it listens on, and the machine's own. */
function namesOf(
  hosts: readonly string[],
): [names: readonly string[], addresses: readonly string[]] {
  const local = hosts.some(isEveryAddress)
    ? Object.values(networkInterfaces()).flatMap(
        (list) => list?.map(({ address }) => address) ?? [],
      )
    : [];
  const all = [...new Set([...hosts.filter((host) => !isEveryAddress(host)), ...local])];
  return [
    [...new Set(["localhost", hostname(), ...all.filter((host) => isIP(host) === 0)])],
    [...new Set(["127.0.0.1", ...all.filter((host) => isIP(host) !== 0)])],
  ];
}

function inUrl(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }),
  );
}
