/**
 * Mirroring: copies a share of a route's requests to other clusters, as Istio does. Nobody waits for their answers.
 *
 * A copy is what the destination gets, once, however often the request itself is tried; only its host ends in
 * `-shadow`, so that logs tell copies from requests. Requests for an upgrade are not copied: a tunnel has no copy.
 *
 * Copies must not cost what they were meant to spare: a cluster has at most 1 024 of them under way from a sidecar, and
 * those over that are not made (`heddle_proxy_mirror_dropped_total`).
 */

import type { Mirror } from "../../model/proxy-config.ts";
import type { FindCluster } from "../config/route-table.ts";
import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";
import { Shadow } from "../stack/shadow.ts";
import type { Attempt } from "../stack/tries.ts";
import type { ClusterRuntime } from "../upstream/cluster.ts";

/** Envoy's default of requests to a cluster. */
const maxUnderWay = 1_024;

/** Makes the copies of a request whose head is composed and whose bytes are in place; `sendCopies` sends them. */
export type Mirroring = (exchange: Exchange) => void;

export function mirroring(
  mirrors: readonly Mirror[],
  clusters: FindCluster,
  { random }: Environment,
): Mirroring {
  const targets = mirrors.flatMap(({ cluster, percent }) => {
    const found = clusters(cluster);
    return found === undefined ? [] : [{ cluster: found, percent }];
  });
  return (exchange) => {
    if (exchange.wantsUpgrade) return;
    for (const { cluster, percent } of targets) {
      if (random() * 100 < percent) copy(exchange, cluster);
    }
  };
}

function copy(original: Exchange, cluster: ClusterRuntime): void {
  const { mirrored } = cluster;
  if (mirrored.underWay >= maxUnderWay || cluster.environment.overload.isFull) {
    mirrored.droppedTotal++;
    return;
  }
  mirrored.underWay++;
  mirrored.sentTotal++;
  const shadow = new Shadow(original, (wasGivenUp) => {
    mirrored.underWay--;
    if (wasGivenUp) mirrored.droppedTotal++;
  });
  const { exchange } = shadow;
  exchange.cluster = cluster;
  exchange.hashKey = original.hashKey;
  exchange.outgoing = withShadowHost(original.outgoing);
  original.shadows ??= [];
  original.shadows.push(shadow);
}

/** Sends the copies of a request, which is on its way already: it does not wait for them either. */
export function sendCopies(shadows: readonly Shadow[], attempt: Attempt): void {
  for (const { exchange } of shadows) {
    if (exchange.isOver) continue;
    exchange.attempt = attempt;
    attempt(exchange);
    exchange.settle();
  }
}

/** `cart:8080` → `cart-shadow:8080`. */
export function withShadowHost(head: string): string {
  return head.replace(
    /(\r\nhost:[ \t]*)([^\r\n]*?)(:\d+)?([ \t]*\r\n)/i,
    (_, name: string, host: string, port = "", rest: string) =>
      `${name}${host}-shadow${port}${rest}`,
  );
}
