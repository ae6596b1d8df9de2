/**
 * How much a peer may ask of us that leads to nothing: the bound on floods.
 *
 * HTTP/2 has many frames that cost the receiver work and the sender nothing: PING, SETTINGS, PRIORITY, empty DATA,
 * streams that are reset as soon as they are opened, or made to be reset (CVE-2019-9511 … 9518, CVE-2023-44487,
 * CVE-2025-8671). Each takes from an allowance; useful work (requests answered, data moved) and time give back. A peer
 * that is out of it loses its connection, with ENHANCE_YOUR_CALM, and nobody else notices.
 *
 * The figures leave room for what honest peers do: keep-alive and bandwidth pings, a window update or two per DATA
 * frame, clients that give up on every second request at once.
 */

const capacity = 2_000;
const perSecond = 100;

export const costOfFrame = 1;
/** A stream for nothing: refused, broken by its peer, or reset at once. */
export const costOfStream = 10;
export const gainOfAnswer = 10;
/**
 * Of a frame of data. For a small one that was sent no more than the ping with which its reader measures the way, and
 * for one that came hardly anything: who sends single bytes could buy answers with them that he never reads.
 */
export function gainOfDataSent(bytes: number): number {
  return 1 + 3 * Math.min(1, bytes / fullDataBytes);
}
export function gainOfDataReceived(bytes: number): number {
  return Math.min(1, bytes / fullDataBytes);
}
/**
 * Of a frame of data that waited until the peer let it out. Below zero under 256 bytes: a window that opens by single
 * bytes, or that of a thousand streams by one SETTINGS, has much made of little (CVE-2019-9511).
 */
export function gainOfDataLetOut(bytes: number): number {
  return 4 * Math.min(1, bytes / fullDataBytes) - 1;
}
const fullDataBytes = 1_024;

/**
 * A reset before the answer. One within a tenth of a second is a stream for nothing, a later one as much less as it is
 * later: its stream has held one of the places that a connection has. So a thousand calls may time out after half a
 * second at once, and a hundred after one second in each, on a connection that has not one of them answered; each
 * answer pays for more. nghttp2 takes a thousand resets at once and 33 a second, of any age; Envoy any after a second.
 */
export function costOfReset(ageMs: number): number {
  return costOfStream * Math.min(1, hastyMs / ageMs);
}
const hastyMs = 100;

export class Calm {
  #left = capacity;
  #at = 0;

  /** Time has passed: `now` in milliseconds, of a monotonic clock. */
  tick(now: number): void {
    if (now <= this.#at) return;
    if (this.#at > 0) this.gain(((now - this.#at) / 1000) * perSecond);
    this.#at = now;
  }

  /** False: that was too much. */
  spend(cost: number): boolean {
    this.#left -= cost;
    return this.#left >= 0;
  }

  gain(amount: number): void {
    this.#left = Math.min(capacity, this.#left + amount);
  }
}
