/**
 * After an upgrade: the two sides of the exchange are a tunnel, in which each may have said something already.
 *
 * Not here: which requests ask for one (request.ts), and who may switch (`Exchange.onUpgrade`, legs.ts).
 */

import { Tunnel, type TunnelBytes } from "../tcp/tunnel.ts";
import type { Switched, Upgraded } from "./legs.ts";

/** `after`: what the endpoint said behind its head. `onClosed` is called once, when both legs know. */
export function joinSides(
  switched: Switched,
  upstream: Upgraded,
  after: Buffer,
  onClosed: (closed: TunnelBytes) => void,
): void {
  const { transport, ahead, hasEnded } = switched;
  const tunnel = new Tunnel(transport, upstream.transport, (closed) => {
    upstream.onTunnelClosed();
    switched.onTunnelClosed();
    onClosed(closed);
  });
  if (ahead !== undefined) tunnel.sendUpstream(ahead);
  if (after.length > 0) tunnel.sendDownstream(after);
  tunnel.start(hasEnded);
}
