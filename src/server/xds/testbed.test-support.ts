/** A control plane in this process: a world that tests change, its xDS server on a free port, and clients. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Resource } from "../../api/resource.ts";
import type { Clock } from "../../base/clock.ts";
import { createLog, type Log } from "../../base/log.ts";
import {
  applyToWorld,
  emptyWorld,
  type World,
  type WorldChange,
} from "../../core/registry/world.ts";
import { trustDomain } from "../../model/names.ts";
import { createAuthority, openAuthority } from "../../pki/authority.ts";
import { type ServerMetrics, serverMetrics } from "../metrics.ts";
import type { WorldSource } from "../world-source.ts";
import type { RunningXdsServer } from "./main.ts";
import { startXdsServer } from "./main.ts";

export const testClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
};

export const silentLog: Log = createLog(
  () => {},
  () => 0,
);

/** A world that tests write to. */
export class TestWorld implements WorldSource {
  #world: World = emptyWorld();
  #wake: (() => void)[] = [];

  current(): World {
    return this.#world;
  }

  /** Adds or replaces; returns the new version. */
  put(...objects: readonly Resource[]): number {
    return this.#apply("modified", objects);
  }

  remove(...objects: readonly Resource[]): number {
    return this.#apply("deleted", objects);
  }

  async *changes(signal: AbortSignal): AsyncGenerator<World> {
    let seen = this.#world;
    while (!signal.aborted) {
      if (this.#world === seen) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
        await promise;
        continue;
      }
      seen = this.#world;
      yield seen;
    }
  }

  #apply(type: WorldChange["type"], objects: readonly Resource[]): number {
    const version = this.#world.version + 1;
    this.#world = applyToWorld(
      this.#world,
      objects.map((object) => ({ type, version, object })),
    );
    for (const wake of this.#wake.splice(0)) wake();
    return version;
  }
}

export interface Testbed extends AsyncDisposable {
  readonly world: TestWorld;
  readonly server: RunningXdsServer;
  readonly metrics: ServerMetrics;
  readonly target: string;
  readonly rootPem: string;
  /** An empty directory for sockets. */
  readonly directory: string;
  /** Stops the server and starts another on the same port, as after a crash. */
  restart(): Promise<void>;
}

/** The token of node `n` is `token-n`; every pod is on the node that its `spec.nodeName` says. */
export async function openTestbed(world: TestWorld = new TestWorld()): Promise<Testbed> {
  const now = (): number => Date.now();
  const authority = await openAuthority(await createAuthority(trustDomain, now), now);
  const tls = await authority.issueServer(["localhost"], ["127.0.0.1"]);
  const directory = mkdtempSync(join(tmpdir(), "heddle-xds-"));
  const metrics = serverMetrics();
  const start = (port: number): Promise<RunningXdsServer> =>
    startXdsServer({
      listen: { host: "127.0.0.1", port },
      tls,
      world,
      authenticate: (token) =>
        token.startsWith("token-") ? { node: token.slice("token-".length) } : undefined,
      issueCertificate: (csrPem, identity) => authority.issueWorkload(csrPem, identity),
      log: silentLog,
      clock: testClock,
      metrics,
    });
  let server = await start(0);
  const { port } = server;
  return {
    world,
    metrics,
    get server() {
      return server;
    },
    target: `127.0.0.1:${port}`,
    rootPem: authority.rootPem,
    directory,
    restart: async () => {
      await server.close();
      server = await start(port);
    },
    [Symbol.asyncDispose]: async () => {
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export function pod(
  name: string,
  fields: {
    readonly namespace?: string;
    readonly node?: string;
    readonly ip?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly serviceAccount?: string;
  } = {},
): Resource {
  const { namespace = "shop", node = "node-1", ip, labels = { app: name } } = fields;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name, uid: `uid-${name}`, labels },
    spec: {
      nodeName: node,
      serviceAccountName: fields.serviceAccount ?? name,
      containers: [{ name: "main", image: "x" }],
    },
    status: {
      phase: "Running",
      ...(ip === undefined ? {} : { podIP: ip }),
      conditions: [{ type: "Ready", status: "True" }],
    },
  } as Resource;
}
