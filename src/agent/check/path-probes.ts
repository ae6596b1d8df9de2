/**
 * Sends one check's probes to the other nodes, and hears those of others.
 *
 * Echo requests are answered by the other node's kernel, so a node whose agent is away is reached all the same; its raw
 * socket hears them as well, which tells the direction of a loss. Small ones go first, more patiently from try to try;
 * then full ones; where just those are lost, sizes between are sent all at once, twice: 32 evenly spaced, then 32 in
 * the gap, which is exact for packets of Ethernet's size. A pair costs some 30 packets, with a black hole about 160.
 *
 * Sockets are polled: a check lasts seconds, and comes rarely.
 */

import type { Clock } from "../../base/clock.ts";
import { renderError } from "../../base/error.ts";
import { familyOf, type IpFamily } from "../../base/ip.ts";
import type { WayTo } from "../../core/topology/ways.ts";
import { openProbeSocket, type ProbeSocket } from "../../kernel/probe-socket.ts";
import type { CheckPeer, HeardProbes, PathProbe, Tries, Way } from "../../model/network-check.ts";
import { decodeIcmp, decodeMark, encodeEcho, encodeMark } from "../../wire/probe/echo.ts";

const pollMs = 5;
/** The last try allows for a node that is busy. */
const smallWaitsMs = [200, 500, 1_000];
const fullWaitsMs = [300, 500, 800];
const searchWaitMs = 400;
const sizesAtOnce = 32;
const smallBytes = 84; // as ping sends
const datagramBytes = 512;
const datagramsEach = 12;
const fewestBytes = 576; // RFC 791: what everybody must take
const packetsPerPoll = 1_000;

/** Both kinds of socket at one address, for the probes that leave by one link or by any. */
interface Sender {
  readonly family: IpFamily;
  readonly isBound: boolean;
  readonly echoes: ProbeSocket;
  readonly datagrams: ProbeSocket;
}

interface Awaited {
  readonly arrived: () => void;
  readonly told: (mtu: number) => void;
}

export class PathProbes {
  readonly #check: number;
  readonly #uplink: string;
  readonly #clock: Clock;
  readonly #senders = new Map<string, Sender>();
  readonly #refused = new Map<string, string>();
  readonly #awaited = new Map<number, Awaited>();
  readonly #heard = new Map<string, HeardProbes>();
  readonly #peers: ReadonlyMap<string, string>;
  readonly #ended = new AbortController();
  #sequence = 0;

  /** `check`: 32 bits. `ways`: to every other node; `uplink`: the link of those that are not bound to one. */
  constructor(check: number, ways: readonly WayTo[], uplink: string, clock: Clock) {
    this.#check = check;
    this.#uplink = uplink;
    this.#clock = clock;
    this.#peers = new Map(ways.map(({ way, to, peer }) => [`${way} ${to}`, peer]));
    for (const way of ways) this.#open(way);
    void this.#listen();
  }

  /** Where datagrams are taken; 0 where there are no other nodes. */
  get port(): number {
    return [...this.#senders.values()].find(({ isBound }) => !isBound)?.datagrams.port ?? 0;
  }

  /** Probes these ways, all at once; resolves within four seconds. */
  run(ways: readonly WayTo[], peers: readonly CheckPeer[]): Promise<readonly PathProbe[]> {
    const ports = new Map(peers.map(({ node, port }) => [node, port]));
    return Promise.all(ways.map((way) => this.#probe(way, ports.get(way.peer))));
  }

  /** All that has come by now. */
  heard(): readonly HeardProbes[] {
    if (!this.#ended.signal.aborted) this.#takeAll();
    return [...this.#heard.values()];
  }

  close(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    for (const { echoes, datagrams } of this.#senders.values()) {
      echoes.close();
      datagrams.close();
    }
  }

  #open({ from, link }: WayTo): void {
    const key = socketKey(from, link);
    if (this.#senders.has(key) || this.#refused.has(key)) return;
    const family = familyOf(from);
    const bound = link === undefined ? { family } : { family, link };
    try {
      const echoes = openProbeSocket(from, { kind: "echo", ...bound });
      const datagrams = openProbeSocket(from, { kind: "datagram", ...bound });
      this.#senders.set(key, { family, isBound: link !== undefined, echoes, datagrams });
    } catch (error) {
      this.#refused.set(key, renderError(error));
    }
  }

  async #probe(way: WayTo, port: number | undefined): Promise<PathProbe> {
    const { peer, from, to, link = this.#uplink } = way;
    const named = { peer, way: way.way, from, to, link };
    const state: { unsent?: string; toldBytes?: number } = {};
    const refused = this.#refused.get(socketKey(from, way.link));
    if (refused !== undefined) state.unsent = refused;
    const datagrams = port === undefined ? 0 : this.#sendDatagrams(way, port);
    const begun = this.#clock.now();
    const small = await this.#tryUntilAnswered(way, smallBytes, smallWaitsMs, state);
    const roundTripMs = this.#clock.now() - begun;
    const full: Tries =
      small.answered === 0
        ? { sent: 0, answered: 0 }
        : await this.#tryUntilAnswered(way, way.bytes, fullWaitsMs, state);
    const isTight = full.sent > 0 && full.answered === 0 && state.toldBytes === undefined;
    const largest = isTight ? await this.#search(way, state) : undefined;
    return {
      ...named,
      small,
      full: { ...full, bytes: way.bytes },
      ...(largest === undefined ? {} : { largestBytes: largest }),
      datagrams,
      ...(small.answered > 0 && small.sent === 1 ? { roundTripMs } : {}),
      ...state,
    };
  }

  async #tryUntilAnswered(
    way: WayTo,
    bytes: number,
    waitsMs: readonly number[],
    state: { unsent?: string; toldBytes?: number },
  ): Promise<Tries> {
    let sent = 0;
    for (const waitMs of waitsMs) {
      sent++;
      if (await this.#echo(way, bytes, waitMs, state)) return { sent, answered: 1 };
    }
    return { sent, answered: 0 };
  }

  /** The largest size that is answered, of those below the full one. */
  async #search(way: WayTo, state: { unsent?: string }): Promise<number | undefined> {
    let best: number | undefined;
    let low = fewestBytes;
    let high = way.bytes - 1;
    for (let round = 0; round < 2 && low <= high; round++) {
      const step = Math.max(1, Math.ceil((high - low + 1) / sizesAtOnce));
      const sizes: number[] = [];
      for (let bytes = low; bytes <= high; bytes += step) sizes.push(bytes, bytes);
      const passed = await Promise.all(
        sizes.map(async (bytes) =>
          (await this.#echo(way, bytes, searchWaitMs, state)) ? bytes : 0,
        ),
      );
      const largest = Math.max(...passed);
      if (largest === 0) break;
      best = largest;
      low = largest + 1;
      high = Math.min(high, largest + step - 1);
    }
    return best;
  }

  async #echo(
    { from, to, link, way }: WayTo,
    bytes: number,
    waitMs: number,
    state: { unsent?: string; toldBytes?: number },
  ): Promise<boolean> {
    const sender = this.#senders.get(socketKey(from, link));
    if (sender === undefined || this.#ended.signal.aborted) return false;
    const sequence = ++this.#sequence & 0xffff;
    const answered = Promise.withResolvers<boolean>();
    const over = new AbortController();
    this.#awaited.set(sequence, {
      arrived: () => answered.resolve(true),
      told: (mtu) => {
        state.toldBytes = mtu;
        answered.resolve(false);
      },
    });
    const request = encodeEcho(familyOf(from), { check: this.#check, way, sequence, bytes });
    const unsent = sender.echoes.send(to, 0, request);
    if (unsent !== undefined) state.unsent = unsent;
    const late = this.#clock.sleep(waitMs, over.signal).then(
      () => false,
      () => false,
    );
    const result = await Promise.race([answered.promise, late]);
    over.abort();
    this.#awaited.delete(sequence);
    return result;
  }

  #sendDatagrams({ from, to, link, way }: WayTo, port: number): number {
    const sender = this.#senders.get(socketKey(from, link));
    // A port is open at the address of the underlay, which an overlay of IPv4 shares.
    if (sender === undefined || (sender.isBound && sender.family === "IPv6")) return 0;
    const bytes = encodeMark({ check: this.#check, way }, datagramBytes);
    const sent = Array.from({ length: datagramsEach }, () =>
      sender.datagrams.send(to, port, bytes),
    );
    return sent.filter((unsent) => unsent === undefined).length;
  }

  async #listen(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      this.#takeAll();
      await this.#clock.sleep(pollMs, signal).catch(() => undefined);
    }
  }

  #takeAll(): void {
    for (const sender of this.#senders.values()) this.#take(sender);
  }

  #take({ family, isBound, echoes, datagrams }: Sender): void {
    datagrams.receive(packetsPerPoll, ({ source, bytes }) => {
      const mark = decodeMark(bytes);
      if (mark?.check === this.#check) this.#hear(mark.way, source, { datagrams: 1 });
    });
    echoes.receive(packetsPerPoll, ({ source, bytes }) => {
      const echo = decodeIcmp(family, bytes);
      if (echo === undefined) return;
      if (echo.kind === "too-large") this.#awaited.get(echo.sequence)?.told(echo.mtu);
      else if (echo.check !== this.#check) return;
      else if (echo.kind === "reply") this.#awaited.get(echo.sequence)?.arrived();
      // A socket that is not bound to a link has heard of IPv4 what a bound one hears.
      else if (!isBound || family === "IPv6") {
        this.#hear(echo.way, source, { echoes: 1, largestBytes: echo.bytes });
      }
    });
  }

  #hear(way: Way, source: string, more: Partial<Omit<HeardProbes, "from" | "way">>): void {
    const from = this.#peers.get(`${way} ${source}`);
    if (from === undefined) return; // of a node that the view does not know
    const key = `${way} ${from}`;
    const known = this.#heard.get(key);
    this.#heard.set(key, {
      ...{ from, way },
      echoes: (known?.echoes ?? 0) + (more.echoes ?? 0),
      largestBytes: Math.max(known?.largestBytes ?? 0, more.largestBytes ?? 0),
      datagrams: (known?.datagrams ?? 0) + (more.datagrams ?? 0),
    });
  }
}

function socketKey(from: string, link: string | undefined): string {
  return `${from} ${link ?? ""}`;
}
