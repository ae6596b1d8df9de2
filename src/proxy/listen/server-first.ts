/**
 * Destinations where the server speaks first, so that detection waits for the client once and never again.
 *
 * A destination is only remembered when its server did speak before its client: an idle client alone proves nothing,
 * and must not turn the destination's HTTP into plain TCP for others. Bounded; the oldest is forgotten.
 */

const maxDestinations = 4096;

export class ServerFirst {
  readonly #destinations = new Set<string>();

  has(destination: string): boolean {
    return this.#destinations.has(destination);
  }

  add(destination: string): void {
    if (this.#destinations.size >= maxDestinations) {
      const [oldest] = this.#destinations;
      if (oldest !== undefined) this.#destinations.delete(oldest);
    }
    this.#destinations.add(destination);
  }

  /** All of them, for a successor. */
  get all(): readonly string[] {
    return [...this.#destinations];
  }

  /** A client of this destination spoke first after all. */
  delete(destination: string): void {
    this.#destinations.delete(destination);
  }
}
