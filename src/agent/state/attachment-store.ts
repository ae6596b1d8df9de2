/**
 * Attachments on disk: one file each, named after the host's link, which is unique by construction.
 *
 * A new record is on the platter before its address is used, so that no crash can give the address twice. What changes
 * later (phase, the sidecar's process) only matters to a next agent of the same boot, for which the page cache is
 * enough: those writes are atomic but not forced. A file that cannot be read is moved aside, never deleted: somebody's
 * address may be in it.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import { type AttachmentRecord, parseRecord } from "./record.ts";

export class AttachmentStore {
  readonly #directory: string;
  readonly #log: Log;

  constructor(stateDir: string, log: Log) {
    this.#directory = join(stateDir, "attachments");
    this.#log = log;
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  load(): readonly AttachmentRecord[] {
    const records: AttachmentRecord[] = [];
    for (const file of readdirSync(this.#directory).sort()) {
      const path = join(this.#directory, file);
      if (file.endsWith(".tmp")) rmSync(path, { force: true });
      if (!file.endsWith(".json")) continue;
      try {
        records.push(parseRecord(readFileSync(path, "utf8")));
      } catch (error) {
        renameSync(path, `${path}.damaged`);
        this.#log.error("attachment record is damaged, moved aside", {
          path,
          error: String(error),
        });
      }
    }
    return records;
  }

  /** Resolves when the record will survive a power cut. */
  async add(record: AttachmentRecord): Promise<void> {
    const path = this.#path(record);
    this.#replace(path, record);
    try {
      // Both at once: a file system that groups its commits pays once.
      await Promise.all([sync(path, "r+"), sync(this.#directory, "r")]);
    } catch (cause) {
      rmSync(path, { force: true });
      throw notWritten(path, cause);
    }
  }

  update(record: AttachmentRecord): void {
    this.#replace(this.#path(record), record);
  }

  remove(record: AttachmentRecord): void {
    rmSync(this.#path(record), { force: true });
  }

  #path(record: AttachmentRecord): string {
    return join(this.#directory, `${record.attachment.hostLink}.json`);
  }

  /** Whole or not at all: what was there stays where the new one cannot be written. */
  #replace(path: string, record: AttachmentRecord): void {
    const temporary = `${path}.tmp`;
    try {
      writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 });
      renameSync(temporary, path);
    } catch (cause) {
      try {
        rmSync(temporary, { force: true });
      } catch {
        // The next agent removes it.
      }
      throw notWritten(path, cause);
    }
  }
}

function notWritten(path: string, cause: unknown): MeshError {
  return new MeshError("agent.state.write", `write attachment record ${path}`, {
    cause,
    fault: "host",
    retryable: true,
  });
}

async function sync(path: string, flags: string): Promise<void> {
  await using file = await open(path, flags);
  await file.sync();
}
