/** A sidecar that follows whoever serves xDS on a unix socket. */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import type { Clock } from "../../../src/base/clock.ts";
import { systemClock } from "../../../src/cli/system-clock.ts";
import { createXdsSource } from "../../../src/proxy/config/xds-source.ts";
import type { Sidecar } from "../../../src/proxy/sidecar.ts";
import { type Harness, request } from "../../../src/proxy/testing/harness.ts";
import { labels, node, silentLog, testSidecar } from "../../../src/proxy/testing/mesh.ts";

export interface Following {
  readonly sidecar: Sidecar;
  /** Resolves once the first snapshot is in force. */
  readonly ready: Promise<void>;
}

/** What it calls itself to control planes. */
export const nodeId: string = node(labels("shop", "web")).id;

/** Path of a socket for the test's server. */
export function socketOf(harness: Harness): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-foreign-"));
  harness.atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "xds");
}

export function follow(harness: Harness, socket: string, clock: Clock = systemClock): Following {
  const stop = new AbortController();
  const sidecar = testSidecar({ destination: () => undefined });
  harness.atEnd(() => sidecar.drain());
  const source = createXdsSource({
    socket,
    node: node(labels("shop", "web")),
    clock,
    random: Math.random,
    log: silentLog,
  });
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  const following = sidecar.follow(source, stop.signal, resolve);
  harness.atEnd(async () => {
    stop.abort();
    await following;
  });
  return { sidecar, ready };
}

/** Asks until the answer is this one: a change of configuration is told to the server, not to us. */
export async function comesToSay(sidecar: Sidecar, wanted: string, name = "front"): Promise<void> {
  for (;;) {
    const port = sidecar.portOf(name);
    const { status, body } = port === undefined ? { status: 0, body: "" } : await request(port);
    if (`${status} ${body}`.startsWith(wanted)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Subject alternative names of the certificate that is shown there. */
export async function nameShown(port: number): Promise<string | undefined> {
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { subjectaltname } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname;
}
