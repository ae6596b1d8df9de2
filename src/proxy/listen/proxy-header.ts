/**
 * A connection whose listener expects a PROXY header: waits until that has come, and says then who the client is.
 *
 * Who connects is the header's word from here on; where to is not: only the kernel says that. A header that is missing
 * where one must be, or is none, closes the connection.
 *
 * Not here: how the header is spelt (wire/proxy-protocol/), and what becomes of the connection then (incoming.ts).
 */

import type { Socket } from "node:net";
import { readProxyHeader, type SocketAddress } from "../../wire/proxy-protocol/header.ts";
import { keptBehind } from "../codec/kept-bytes.ts";
import { adopt } from "../codec/sockets.ts";
import { type Reader, Transport } from "../codec/transport.ts";
import type { ListenerTable } from "../config/tables.ts";
import { Timeout } from "../timer-wheel.ts";
import type { LiveConnection } from "./connections.ts";
import type { Runtime } from "./runtime.ts";

export interface Introduced {
  readonly source: SocketAddress;
  readonly transport: Transport;
  /** What came behind the header. */
  readonly rest: Buffer | undefined;
  readonly hasEnded: boolean;
}

export class ProxyHeaderWait implements Reader, LiveConnection {
  readonly #runtime: Runtime;
  readonly #isOptional: boolean;
  readonly #proxy: SocketAddress;
  readonly #onIntroduced: (introduced: Introduced) => void;
  readonly #transport: Transport;
  readonly #timeout: Timeout;
  #bytes: Buffer | undefined;
  #hasEnded = false;

  /** `proxy`: who has connected. `onIntroduced` is called once, unless the connection ends before. */
  constructor(
    runtime: Runtime,
    accepted: Socket,
    mode: NonNullable<ListenerTable["proxyProtocol"]>,
    proxy: SocketAddress,
    onIntroduced: (introduced: Introduced) => void,
  ) {
    this.#runtime = runtime;
    this.#isOptional = mode === "optional";
    this.#proxy = proxy;
    this.#onIntroduced = onIntroduced;
    this.#transport = new Transport(this, (onread) => adopt(accepted, onread));
    this.#timeout = new Timeout(() => this.destroy());
    const { environment, connections } = runtime;
    environment.wheel.arm(this.#timeout, environment.limits.headerTimeoutMs);
    connections.add(this);
  }

  // ---- Reader ----------------------------------------------------------------------------------

  onBytes(bytes: Buffer, length: number): void {
    this.#bytes = keptBehind(this.#bytes, bytes, 0, length);
    this.#look(this.#bytes);
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#bytes === undefined) this.destroy();
    else this.#look(this.#bytes);
  }

  onDrain(): void {}

  onClose(): void {
    this.#leave();
  }

  #look(bytes: Buffer): void {
    const header = readProxyHeader(bytes);
    if (header.kind === "partial" && !this.#hasEnded) return;
    if (header.kind === "header") {
      const rest = bytes.subarray(header.length);
      this.#introduce(header.source ?? this.#proxy, rest.length === 0 ? undefined : rest);
    } else if (header.kind === "none" && this.#isOptional) this.#introduce(this.#proxy, bytes);
    else {
      const reason = header.kind === "invalid" ? header.problem : "no PROXY header";
      this.#runtime.environment.log.debug("refuse connection", {
        source: this.#proxy.address,
        reason,
      });
      this.destroy();
    }
  }

  #introduce(source: SocketAddress, rest: Buffer | undefined): void {
    this.#onIntroduced({ source, transport: this.#transport, rest, hasEnded: this.#hasEnded });
    this.#leave(); // after its successor came: the sidecar is not idle in between
  }

  #leave(): void {
    this.#runtime.environment.wheel.cancel(this.#timeout);
    this.#runtime.connections.delete(this);
  }

  // ---- LiveConnection --------------------------------------------------------------------------

  get heldBytes(): number {
    return this.#bytes?.length ?? 0;
  }

  drain(): void {
    this.destroy();
  }

  retire(): void {}

  destroy(): void {
    this.#leave();
    this.#transport.destroy();
  }

  sweep(): void {}
}
