/**
 * The attachments of this node: what is in memory is on disk.
 *
 * The table answers who is attached; it neither touches the kernel nor starts anything.
 */

import type { AttachmentKey } from "../wire/cni/request.ts";
import type { AttachmentStore } from "./state/attachment-store.ts";
import type { AttachmentRecord } from "./state/record.ts";

export class Attachments {
  readonly #store: AttachmentStore;
  readonly #records = new Map<string, AttachmentRecord>();

  constructor(store: AttachmentStore, records: readonly AttachmentRecord[]) {
    this.#store = store;
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
  }

  /** Changes fields of a record; one that is gone stays gone. */
  update(key: AttachmentKey, change: Partial<AttachmentRecord>): void {
    const record = this.#records.get(keyText(key));
    if (record === undefined) return;
    const next = { ...record, ...change };
    this.#records.set(keyText(key), next);
    this.#store.update(next);
  }

  remove(key: AttachmentKey): void {
    const record = this.#records.get(keyText(key));
    if (record === undefined) return;
    this.#store.remove(record); // where that fails it is known still, and tried again
    this.#records.delete(keyText(key));
  }
}

/** A blank cannot be part of either name. */
export function keyText(key: AttachmentKey): string {
  return `${key.containerId} ${key.ifName}`;
}
