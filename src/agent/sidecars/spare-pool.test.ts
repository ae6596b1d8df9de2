import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLog } from "../../base/log.ts";
import { SparePool } from "./spare-pool.ts";

test("a spare that cannot be started fails nobody who has one", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "heddle-spares-"));
  const command = join(directory, "command");
  symlinkSync("/bin/sleep", command);
  const events: string[] = [];
  const log = createLog((line) => events.push(JSON.parse(line).event), Date.now);
  const pool = new SparePool({
    command: [command, "60"],
    size: 1,
    directory: join(directory, "logs"),
    log,
  });
  pool.refill();
  const spare = pool.take();
  t.after(async () => {
    spare.kill();
    await spare.ended;
    pool.close();
    rmSync(directory, { recursive: true });
  });
  rmSync(command);
  pool.refill();
  assert.equal(pool.idle, 0);
  assert.deepEqual(events, ["spare sidecar is not started"]);
});
