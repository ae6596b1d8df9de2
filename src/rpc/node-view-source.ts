/** An agent's subscription to what its node must know. */

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { encodeAgentNode } from "../wire/xds/node.ts";
import type { NodeView } from "../wire/xds/node-view.ts";
import { nodeViewDecoder } from "../wire/xds/node-view.ts";
import { nodeTypes } from "../wire/xds/resources.ts";
import { createAdsClient } from "./ads-client.ts";
import { methods } from "./methods.ts";
import { deltaStreams } from "./server-stream.ts";

export interface NodeViewOptions {
  /** `host:port` of the server. */
  readonly target: string;
  readonly token: string;
  /** PEM of the authorities that may vouch for the server. */
  readonly roots: string;
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface NodeViewSnapshot {
  /** Version of the world that the view was made from. */
  readonly version: string;
  readonly view: NodeView;
  /** The node does what the view says. */
  accept(): void;
  /** It cannot, and why; what was before goes on. */
  reject(error: string): void;
}

/** Complete views, newest last; a slow consumer sees only the newest. Reconnects until the signal ends it. */
export async function* watchNodeView(
  options: NodeViewOptions,
  signal: AbortSignal,
): AsyncGenerator<NodeViewSnapshot> {
  const { target, token, roots, node, clock, random, log } = options;
  const streams = deltaStreams({ target, token, roots }, methods.deltaResources);
  const client = createAdsClient({
    open: streams.open,
    node: encodeAgentNode(node),
    subscriptions: nodeTypes.map((typeUrl) => ({ typeUrl, names: ["*"] })),
    marks: true,
    decode: nodeViewDecoder(),
    clock,
    random,
    log,
  });
  try {
    for await (const { version, value } of client.snapshots(signal)) {
      yield {
        version,
        view: value,
        accept: () => client.accept(version),
        reject: (error) => client.reject(version, error),
      };
    }
  } finally {
    streams.close();
  }
}
