import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { programPagesDropper, unwrittenMappings } from "./program-pages.ts";

describe("pages of the program", () => {
  test("are given back, and come again when they are needed", () => {
    const drop = programPagesDropper();
    const before = residentFileKb();
    drop();
    const after = residentFileKb();
    assert.ok(after < before / 2, `${before} kB, then ${after} kB`);
    assert.equal(JSON.parse('{"a":[1,2]}').a.length, 2);
    assert.match(new Intl.DateTimeFormat("en").format(0), /70/);
  });

  test("that were written stay, and so does what is not the program", () => {
    const entry = (range: string, rights: string, file: string, dirtyKb: number) =>
      `${range} ${rights} 00000000 fe:00 5357743    ${file}\nSize: 64 kB\nPrivate_Dirty: ${dirtyKb} kB\nAnonymous: ${dirtyKb} kB\n`;
    const smaps = [
      entry("00400000-00410000", "r--p", "/bin/node", 0),
      entry("00410000-00430000", "r-xp", "/bin/node", 0),
      entry("00430000-00440000", "r--p", "/bin/node", 24),
      entry("00440000-00450000", "rw-p", "/bin/node", 0),
      entry("00450000-00460000", "r-xp", "/lib/other", 0),
    ].join("");
    assert.deepEqual(unwrittenMappings(smaps, "/bin/node"), [
      { start: 0x400000, bytes: 0x10000 },
      { start: 0x410000, bytes: 0x20000 },
    ]);
  });
});

function residentFileKb(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/^RssFile:\s+(\d+) kB/m.exec(status)?.[1]);
}
