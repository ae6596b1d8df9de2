import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import koffi from "koffi";
import { spareMemoryGiver, unwrittenMappings } from "./spare-memory.ts";

describe("pages of the program", () => {
  test("are given back, and come again when they are needed", () => {
    const giveBack = spareMemoryGiver();
    const before = residentKb("File");
    giveBack();
    const after = residentKb("File");
    assert.ok(after < before / 2, `${before} kB, then ${after} kB`);
    assert.equal(JSON.parse('{"a":[1,2]}').a.length, 2);
    assert.match(new Intl.DateTimeFormat("en").format(0), /70/);
  });

  const entry = (range: string, rights: string, file: string, dirtyKb: number, swappedKb = 0) =>
    `${range} ${rights} 00000000 fe:00 5357743    ${file}\nSize: 64 kB\nPrivate_Dirty: ${dirtyKb} kB\nAnonymous: ${dirtyKb} kB\nSwap: ${swappedKb} kB\nSwapPss: ${swappedKb} kB\n`;

  test("that were written stay, and so does what is not the program", () => {
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

  test("that were written and are swapped out stay: their relocated addresses are nowhere else", () => {
    const smaps = entry("00430000-00440000", "r--p", "/bin/node", 0, 24);
    assert.deepEqual(unwrittenMappings(smaps, "/bin/node"), []);
  });
});

test("memory that was freed between what is in use is given back", () => {
  const libc = koffi.load("libc.so.6");
  const malloc = libc.func("void *malloc(size_t)");
  const memset = libc.func("void *memset(void *, int, size_t)");
  const free = libc.func("void free(void *)");
  const giveBack = spareMemoryGiver();
  const bytes = 64 * 1024; // less than what is mapped by itself
  const blocks: unknown[] = Array.from({ length: 640 }, () => memset(malloc(bytes), 1, bytes));
  const last = blocks.pop();
  for (const block of blocks) free(block);
  const before = residentKb("Anon");
  giveBack();
  const after = residentKb("Anon");
  free(last);
  assert.ok(before - after > 20_000, `${before} kB, then ${after} kB`);
});

function residentKb(kind: "Anon" | "File"): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(new RegExp(`^Rss${kind}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
}
