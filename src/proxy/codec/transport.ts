/**
 * A byte stream with one reader: a socket, plain or TLS, accepted or connected. TLS is Node's, as the socket itself, or our
 * own between the socket and everybody else (`secure`), which costs a third less (docs/adr/0014).
 *
 * Sockets read into one shared buffer (Node's `onread`), which the reader must be done with when its callback returns;
 * that saves a 64 KiB allocation and a copy per read, and was worth 28 % of the CPU per request. Whoever keeps bytes
 * copies them. A tunnel with much to carry reads into a buffer of its own (`readInto`), so that it can hand the very bytes
 * to the other socket.
 *
 * Back-pressure, all of it, on the way through a sidecar:
 *
 *   buffer                        limit                      who pauses                    who resumes
 *   ----------------------------  -------------------------  ----------------------------  ---------------------------
 *   kernel receive                kernel                     reader.pause() (readStop)     reader.resume()
 *   shared read buffer            64 KiB, one per process    -                             free when the callback ends
 *   shared opened bytes           84 KiB, one per process    -                             free when the callback ends
 *   partial head (downstream)     60 KiB + fields limit      431 beyond it                 -
 *   bytes after a request         one read                   downstream, until the answer  exchange's end
 *   body before there is a        one read; 64 KiB when it   downstream                    connection ready
 *     connection, or for a retry    is kept for a retry
 *   text of this turn             14 KiB, then it is sent    -                             -
 *   socket write queue            64 KiB high-water mark     the opposite reader           'drain' of this socket
 *   small pieces behind it        what was read before       the same                      the same
 *                                   the source paused
 *   all that is written while     what was read before       the same                      the rest comes
 *     part of a ticket has come     the source paused
 *   replies to changes of keys    32 while others wait       closed beyond it              -
 *   HTTP/2 answers not read       1 MiB; heads have no       downstream                    'drain' of its socket
 *                                   window
 *   HTTP/2 stream, received       256 KiB not consumed       its window is not opened      the opposite side
 *   HTTP/2 connection, received,  16 MiB not consumed        its window is not opened      the opposite side
 *     a client's
 *   HTTP/2 data beyond a window   what was read before       the opposite reader           the window opens
 *                                   the source paused
 *   data ahead of a WebSocket's   256 KiB, the stream's      its window is not opened      the answer
 *     answer (HTTP/2)               window
 *   HTTP/2 output of one turn     64 KiB, then it is sent    -                             -
 *   tunnel's copy of a read       64 KiB per direction       tunnel, while a write of it   write completed
 *                                                              is unfinished
 *   tunnel's bulk buffer          256 KiB per direction,     the same                      the same
 *                                   lent while reads fill it
 *
 * The ceiling of all together is overload.ts's.
 *
 * Not here: how it is written (write-half.ts), and what the bytes mean.
 */

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { TlsConnection } from "../tls/connection.ts";
import { maxWireBytes } from "../tls/record-layer.ts";
import { Secured } from "./secured.ts";
import { type Negotiated, negotiatedOf } from "./sockets.ts";
import { WriteHalf } from "./write-half.ts";

/** What a transport does with what it reads. Replaced when the connection changes its nature. */
export interface Reader {
  /** `bytes[0, length)` arrived. They are overwritten by the next read of any socket, unless the buffer is its own. */
  onBytes(bytes: Buffer, length: number): void;
  /** The peer sent its FIN (inside TLS of our own: its close_notify): it sends no more, but may still read. */
  onEnd(): void;
  /** What was written has left, after the queue had been above its mark. */
  onDrain(): void;
  /** The socket is gone. The last call. */
  onClose(error: Error | undefined): void;
}

export interface OnRead {
  /** What the next read goes into; undefined: what the last one went into. */
  readonly buffer: () => Buffer | undefined;
  readonly callback: (length: number) => boolean;
}

/** A round trip and a retransmission: the rest of what a peer has begun was sent with its beginning. */
const lastTurnMs = 2_000;

// Touched by every read of every HTTP connection; slow allocation, since it must not share memory with other buffers.
const sharedBuffer = Buffer.allocUnsafeSlow(maxWireBytes);

export class Transport extends WriteHalf {
  readonly socket: Socket;
  isTls: boolean;
  reader: Reader;
  isPaused = false;
  /** Called once TLS of our own has found its peer to be the right one; whoever waits for that sets it. */
  onReady: (() => void) | undefined;
  /** By the opener's clock, where age matters. */
  openedAt = 0;
  bytesRead = 0;
  /** What reads go into, and what they are to go into from the next read on. */
  #inUse: Buffer = sharedBuffer;
  #buffer: Buffer = sharedBuffer;
  #error: Error | undefined;
  protected secured: Secured | undefined;
  /** Ends the wait for a peer that goes no further with its message. */
  #lastTurn: NodeJS.Timeout | undefined;
  /** How it ends once what is behind is written. */
  #ending: "end" | "close" | undefined;

  /** `open` makes the socket; it must pass `onread` on to it, and half-open connections must be allowed. */
  constructor(reader: Reader, open: (onread: OnRead) => Socket) {
    super();
    this.reader = reader;
    this.socket = open({
      // Asked once at the beginning and after every read: a change takes effect after the next read. Node looks closely at
      // every buffer that it is given, so it gets one only when it is another.
      buffer: () => {
        if (this.bytesRead > 0 && this.#inUse === this.#buffer) return undefined;
        this.#inUse = this.#buffer;
        return this.#inUse;
      },
      callback: (length) => {
        this.bytesRead += length;
        if (this.secured === undefined) this.reader.onBytes(this.#inUse, length);
        else this.secured.onRecords(this.#inUse, length);
        return true; // pausing is pause()'s business
      },
    });
    this.isTls = this.socket instanceof TLSSocket;
    this.socket.on("end", () => {
      if (this.secured === undefined) this.reader.onEnd();
      else this.secured.onFin();
    });
    this.socket.on("drain", () => this.onWritable());
    this.socket.on("error", (error) => {
      this.#error = error;
    });
    this.socket.on("close", () => {
      clearTimeout(this.#lastTurn);
      this.secured?.connection.close();
      this.reader.onClose(this.#error);
    });
  }

  // ---- TLS of our own --------------------------------------------------------------------------

  /**
   * Speaks TLS from here on. `first`: what was read of it already. `onSecure` is called once the handshake is over, before
   * the reader gets what was said in one breath with its end; nothing may be written before.
   */
  secure(connection: TlsConnection, onSecure: () => void, first?: Buffer): void {
    this.flush();
    this.isTls = true;
    this.secured = new Secured(connection, this.socket, this, onSecure);
    this.secured.onRecords(first, first?.length ?? 0);
  }

  /** What was settled with the peer when TLS began; undefined in the clear. */
  get negotiated(): Negotiated | undefined {
    const connection = this.secured?.connection;
    if (connection !== undefined) return connection;
    return this.socket instanceof TLSSocket ? negotiatedOf(this.socket) : undefined;
  }

  // ---- reading ---------------------------------------------------------------------------------

  /**
   * Called in `onBytes`: reads go into this buffer from the next one on; undefined: into the one that all share. It has
   * room for 256 KiB, or for a record where `readsByRecord`.
   */
  readInto(buffer: Buffer | undefined): void {
    if (this.secured === undefined) this.#buffer = buffer ?? sharedBuffer;
    else this.secured.readInto(buffer);
  }

  /** The bytes of the present read are not in the memory that all share. */
  get ownsBuffer(): boolean {
    return this.secured?.ownsBuffer ?? this.#inUse !== sharedBuffer;
  }

  /** Node's TLS goes on while it is paused, record by record, with what it had read by then. */
  get readsByRecord(): boolean {
    return this.isTls && this.secured === undefined;
  }

  pause(): void {
    if (this.isPaused) return;
    this.isPaused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.socket.resume();
  }

  // ---- endings ---------------------------------------------------------------------------------

  get isDestroyed(): boolean {
    return this.socket.destroyed;
  }

  /** Sends what is queued, then FIN. Reading goes on. */
  end(): void {
    this.flush();
    this.catchUp();
    if (this.mustWait()) {
      this.#ending = "end";
      return;
    }
    this.secured?.end();
    if (this.secured?.isReadDone === true) this.socket.destroySoon();
    else this.socket.end();
  }

  /** Sends what is queued, then closes both ways. A peer in the middle of a message of TLS has a moment to end it. */
  close(): void {
    this.flush();
    this.catchUp();
    if (this.mustWait()) {
      this.#ending = "close";
      this.#lastTurn ??= setTimeout(() => this.destroy(), lastTurnMs);
      return;
    }
    this.secured?.end();
    this.socket.destroySoon();
  }

  /** There is room for what waits, then for the end that waits for it, else maybe for more; called by the socket and by TLS. */
  onWritable(): void {
    this.catchUp();
    const ending = this.#ending;
    this.#ending = undefined;
    if (ending === "end") this.end();
    else if (ending === "close") this.close();
    else if (!this.isBackedUp) this.reader.onDrain();
  }

  /** Closes at once; unsent bytes are lost. */
  destroy(error?: Error): void {
    this.flush();
    this.socket.destroy(error);
  }

  /**
   * Closes with RST, so that the peer cannot take a cut message for a whole one. Where our FIN is out or on its way there
   * is nothing to cut, and libuv refuses to reset: Node would lose the handle, and never end.
   */
  reset(): void {
    this.flush();
    if (this.readsByRecord || this.socket.writableEnded) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }
}
