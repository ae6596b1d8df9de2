/**
 * Holds the table of tracked connections against each new view: what the kernel remembers must not outlive what is so.
 *
 * Runs after the rules of a view are in force, because an entry that is forgotten before would be made again by the old
 * ones. A failure is logged and the same is asked again with the next view: the view that was reconciled last counts.
 */

import { renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { goneAddresses, staleConnections } from "../core/dataplane/stale-connections.ts";
import type { KernelDriver } from "../kernel/driver.ts";
import type { NodeView } from "../model/node-view.ts";

export class StaleConnections {
  readonly #driver: KernelDriver;
  readonly #log: Log;
  #reconciled: NodeView | undefined;

  constructor(driver: KernelDriver, log: Log) {
    this.#driver = driver;
    this.#log = log;
  }

  /** The rules of `view` are in force. */
  forget(view: NodeView): void {
    const before = this.#reconciled;
    if (before === view) return;
    try {
      const isStale = staleConnections(before, view);
      const forgotten = isStale === undefined ? 0 : this.#driver.forgetDatagrams(isStale);
      this.#driver.forgetConnections(new Set(goneAddresses(before, view)));
      if (forgotten > 0) this.#log.info("connections to gone endpoints forgotten", { forgotten });
      this.#reconciled = view;
    } catch (error) {
      this.#log.warn("connections to gone endpoints are not forgotten yet", {
        error: renderError(error),
      });
    }
  }
}
