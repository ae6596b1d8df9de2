/**
 * A store in one SQLite file: a table of objects, and a table of the newest changes so that watches survive a restart.
 *
 * `synchronous=FULL` with a write-ahead log: a commit is on disk before it is acknowledged, power cuts included
 * (0.2 ms a commit on the development machine against 0.03 ms without the flush; the ledger shares one commit between
 * concurrent writes). The lock is exclusive and held while the store is open: a second process on the same file is
 * refused instead of quietly keeping its own idea of the objects, and the lock ends with the process, however it ends.
 */

import { randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import type { Resource } from "../api/resource.ts";
import { MeshError } from "../base/error.ts";
import { withoutNulls } from "../base/json.ts";
import type { Journal } from "./journal.ts";
import { type LedgerOptions, openLedger } from "./ledger.ts";
import type { Store, StoreEvent } from "./store.ts";

export type SqliteStoreOptions = Partial<Omit<LedgerOptions, "journal">>;

/** Opens or creates the file at `path`. Throws MeshError `store.open`. */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): Store {
  const historyBound = options.historyBound ?? 10_000;
  return openLedger({
    journal: openJournal(path, historyBound),
    now: Date.now,
    newUid: randomUUID,
    ...options,
    historyBound,
  });
}

const schema = `
  CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    object TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS changes (
    version INTEGER PRIMARY KEY, type TEXT NOT NULL, object TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS last (
    only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL
  );
  INSERT OR IGNORE INTO last VALUES (1, 0);
`;

/** The format above; a file of another is refused rather than misread. */
const formatVersion = 1;

function openJournal(path: string, bound: number): Journal {
  const database = openDatabase(path);
  const put = database.prepare("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)");
  const drop = database.prepare(
    "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?",
  );
  const log = database.prepare("INSERT INTO changes VALUES (?, ?, ?)");
  const trim = database.prepare("DELETE FROM changes WHERE version <= ?");
  const advance = database.prepare("UPDATE last SET version = ?");

  return {
    load() {
      const objects = database.prepare("SELECT object FROM objects").all().map(objectOf);
      const version = Number(database.prepare("SELECT version FROM last").get()?.["version"] ?? 0);
      return { version, objects, recent: recentChanges(database) };
    },
    commit(events) {
      database.exec("BEGIN IMMEDIATE");
      try {
        for (const { type, version, object } of events) {
          const { namespace = "", name } = object.metadata;
          const text = JSON.stringify(object);
          if (type === "deleted") drop.run(object.kind, namespace, name);
          else put.run(object.kind, namespace, name, text);
          log.run(version, type, text);
          advance.run(version);
          trim.run(version - bound);
        }
        database.exec("COMMIT");
      } catch (error) {
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    },
    close: () => database.close(),
  };
}

function openDatabase(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path);
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    const format = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
    if (format !== 0 && format !== formatVersion) {
      throw new MeshError(
        "store.format",
        `its format is ${format}, this version of Heddle reads ${formatVersion}`,
        { fault: "user" },
      );
    }
    database.exec(schema);
    database.exec(`PRAGMA user_version = ${formatVersion}`);
    return database;
  } catch (cause) {
    const locked = cause instanceof Error && cause.message.includes("locked");
    throw new MeshError(
      "store.open",
      `open store ${path}${locked ? " (does another server use it?)" : ""}`,
      { cause, fault: "host" },
    );
  }
}

type Row = Readonly<Record<string, unknown>>;

function recentChanges(database: DatabaseSync): readonly StoreEvent[] {
  const rows = database.prepare("SELECT version, type, object FROM changes ORDER BY version").all();
  const newest = new Map<string, Resource>();
  return rows.map((row): StoreEvent => {
    const object = objectOf(row);
    const key = `${object.kind} ${object.metadata.namespace ?? ""}/${object.metadata.name}`;
    const previous = newest.get(key);
    newest.set(key, object);
    const event = {
      type: row["type"] as StoreEvent["type"],
      version: Number(row["version"]),
      object,
    };
    return previous === undefined || event.type === "added" ? event : { ...event, previous };
  });
}

/** Earlier versions stored fields that are null, which are absent in all that is written now. */
function objectOf(row: Row): Resource {
  return withoutNulls(JSON.parse(String(row["object"])) as Resource);
}
