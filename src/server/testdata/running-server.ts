/** A server of a test file's own, without xDS, and ways to speak to it. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { kindNamed, restPath } from "../../api/kinds.ts";
import { createLog } from "../../base/log.ts";
import { seededRandom } from "../../base/random.ts";
import { httpObjectClient } from "../../rpc/http-object-client.ts";
import { type HttpTransport, httpTransport } from "../../rpc/http-transport.ts";
import type { ObjectClient } from "../../rpc/object-client.ts";
import { startServer } from "../main.ts";
import { noXds } from "./no-xds.ts";
import { wallClock } from "./wall-clock.ts";

export interface RunningServer {
  /** Its files. */
  readonly dataDir: string;
  readonly metricsPort: number;
  /** The administrator's transport, and a client over it. */
  readonly admin: HttpTransport;
  readonly client: ObjectClient;
}

/** Ends, with its files, after the tests of the file that calls it. */
export async function runningServer(): Promise<RunningServer> {
  const dataDir = mkdtempSync(join(tmpdir(), "heddle-server-"));
  const stop = new AbortController();
  const server = await startServer(
    { dataDir, listen: { host: "127.0.0.1", apiPort: 0, xdsPort: 0, metricsPort: 0 } },
    {
      clock: wallClock,
      random: seededRandom(1),
      log: createLog((line) => process.stderr.write(`${line}\n`), Date.now, "error"),
      startXdsServer: noXds,
    },
    stop.signal,
  );
  const admin = httpTransport({ kind: "socket", path: server.adminSocket });
  after(async () => {
    admin.close();
    stop.abort();
    await server.closed;
    rmSync(dataDir, { recursive: true });
  });
  return { dataDir, metricsPort: server.metricsPort, admin, client: clientOver(admin) };
}

export function clientOver(transport: HttpTransport, fieldManager = "test"): ObjectClient {
  return httpObjectClient({
    transport,
    clock: wallClock,
    random: Math.random,
    fieldManager,
    pathOf: (kind, namespace, name) => {
      const known = kindNamed(kind);
      if (known === undefined) throw new Error(kind);
      return restPath(known, namespace, name);
    },
  });
}
