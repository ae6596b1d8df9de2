/** Our proxy beside an Envoy: it follows the same server, as a sidecar does. */

import { createXdsSource } from "../../../src/proxy/config/xds-source.ts";
import type { Sidecar } from "../../../src/proxy/sidecar.ts";
import type { Harness } from "../../../src/proxy/testing/harness.ts";
import { labels, node, silentLog, testSidecar } from "../../../src/proxy/testing/mesh.ts";

const clock = { now: Date.now, sleep: (ms: number) => new Promise<void>((r) => setTimeout(r, ms)) };

/** Resolves once it has taken the configuration of the server at `socket`. */
export async function startOurs(harness: Harness, socket: string): Promise<Sidecar> {
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
  await new Promise<void>((resolve, reject) => {
    const following = sidecar.follow(source, stop.signal, resolve);
    following.catch(reject);
    harness.atEnd(async () => {
      stop.abort();
      await following;
    });
  });
  return sidecar;
}
