import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLog } from "../../base/log.ts";
import { limitLog } from "./limit-log.ts";

test("a log file that cannot be limited does not end the agent, and one that is too large is emptied", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "heddle-logs-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const events: string[] = [];
  const log = createLog((line) => events.push(JSON.parse(line).event), Date.now);
  const [loop, large, small] = ["loop", "large", "small"].map((name) => join(directory, name));
  assert.ok(loop !== undefined && large !== undefined && small !== undefined);
  symlinkSync(loop, loop);
  writeFileSync(large, Buffer.alloc(5 * 1024 * 1024));
  writeFileSync(small, "words");
  for (const path of [loop, large, small, join(directory, "absent")]) limitLog(path, log);
  assert.deepEqual(events, ["log file is not limited"]);
  assert.equal(statSync(large).size, 0);
  assert.equal(statSync(small).size, 5);
});
