/**
 * A socket has been accepted: whether it may come in, where it wanted to go, and who it comes from.
 *
 * Not here: where that is known from (destination.ts), what a proxy in front of us says of the client (proxy-header.ts), and
 * which chain takes the connection (incoming.ts).
 */

import type { Socket } from "node:net";
import { descriptorOf } from "../codec/sockets.ts";
import type { ListenerTable } from "../config/tables.ts";
import { arrivalOf, plainAddress } from "./destination.ts";
import { Incoming } from "./incoming.ts";
import { ProxyHeaderWait } from "./proxy-header.ts";
import type { Runtime } from "./runtime.ts";

/** Takes a socket that `bound` accepted (with `pauseOnConnect`). */
export function accept(runtime: Runtime, accepted: Socket, bound: ListenerTable): void {
  const descriptor = descriptorOf(accepted);
  const { environment } = runtime;
  const isAdmitted = environment.overload.admits() && runtime.connections.admit();
  if (descriptor === undefined || !isAdmitted) {
    accepted.resetAndDestroy();
    return;
  }
  const arrival = arrivalOf(runtime, accepted, descriptor, bound);
  if (arrival === undefined) {
    environment.log.debug("refuse connection to the capture port", { port: bound.port });
    accepted.destroy();
    return;
  }
  const client = {
    address: plainAddress(accepted.remoteAddress ?? ""),
    port: accepted.remotePort ?? 0,
  };
  if (bound.proxyProtocol === undefined) new Incoming(runtime, accepted, arrival, client).begin();
  else {
    new ProxyHeaderWait(runtime, accepted, bound.proxyProtocol, client, (introduced) =>
      new Incoming(runtime, accepted, arrival, introduced.source).beginBehind(introduced),
    );
  }
}
