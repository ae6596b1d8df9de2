/**
 * The attachments of this node: what is in memory is on disk, or will be when the disk takes it.
 *
 * The table answers who is attached; it neither touches the kernel nor starts anything.
 */

import { renderError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { AttachmentKey } from "../wire/cni/request.ts";
import type { AttachmentStore } from "./state/attachment-store.ts";
import type { AttachmentRecord } from "./state/record.ts";

export class Attachments {
  readonly #store: AttachmentStore;
  readonly #log: Log;
  readonly #records = new Map<string, AttachmentRecord>();
  /** Keys of those that are otherwise on disk. */
  readonly #overdue = new Set<string>();

  constructor(store: AttachmentStore, records: readonly AttachmentRecord[], log: Log) {
    this.#store = store;
    this.#log = log;
    for (const record of records) this.#records.set(keyText(record.attachment), record);
  }

  get(key: AttachmentKey): AttachmentRecord | undefined {
    return this.#records.get(keyText(key));
  }

  all(): readonly AttachmentRecord[] {
    return [...this.#records.values()];
  }

  /** Resolves when the record will survive a power cut. */
  async add(record: AttachmentRecord): Promise<void> {
    this.#records.set(keyText(record.attachment), record);
    try {
      await this.#store.add(record);
    } catch (error) {
      this.#records.delete(keyText(record.attachment));
      throw error;
    }
    this.writeOverdue(); // there is room
  }

  /**
   * Changes fields of a record, here and on disk; one that is gone stays gone. Throws where the disk does not take it.
   */
  update(key: AttachmentKey, change: Partial<AttachmentRecord>): void {
    const text = keyText(key);
    const record = this.#records.get(text);
    if (record === undefined) return;
    const next = { ...record, ...change };
    this.#records.set(text, next);
    this.#overdue.add(text);
    this.#store.update(next);
    this.#overdue.delete(text);
  }

  /** The same for what only the next agent reads: a disk that is full now is written to when it has room. */
  note(key: AttachmentKey, change: Partial<AttachmentRecord>): void {
    try {
      this.update(key, change);
    } catch (error) {
      this.#log.warn("attachment record is not written yet", { ...key, error: renderError(error) });
    }
  }

  /** Writes what the disk would not take before, as far as it does now. */
  writeOverdue(): void {
    for (const text of this.#overdue) {
      const record = this.#records.get(text);
      if (record !== undefined) this.note(record.attachment, {});
    }
  }

  remove(key: AttachmentKey): void {
    const record = this.#records.get(keyText(key));
    if (record === undefined) return;
    this.#store.remove(record); // where that fails it is known still, and tried again
    this.#records.delete(keyText(key));
    this.#overdue.delete(keyText(key));
  }
}

/** A blank cannot be part of either name. */
export function keyText(key: AttachmentKey): string {
  return `${key.containerId} ${key.ifName}`;
}
