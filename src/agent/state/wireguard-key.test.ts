import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { createLog } from "../../base/log.ts";
import { keyOrNone, wireguardKeyIn } from "./wireguard-key.ts";

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "heddle-key-"));
  folders.push(made);
  return made;
}

/** RFC 7748, section 5.2: after one iteration. */
const pair = {
  secret: "09".padEnd(64, "0"),
  open: "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
};

describe("the node's WireGuard key", () => {
  test("is made once, for root's eyes only, and is another one after its file is deleted", () => {
    const state = folder();
    const { keyFile, publicKey } = wireguardKeyIn(state);
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
    assert.match(publicKey, /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/);
    assert.equal(readFileSync(keyFile, "utf8").includes(publicKey), false);
    chmodSync(keyFile, 0o644);
    assert.equal(wireguardKeyIn(state).publicKey, publicKey);
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
    rmSync(keyFile);
    assert.notEqual(wireguardKeyIn(state).publicKey, publicKey);
  });

  test("belongs to its private key", () => {
    const state = folder();
    const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");
    writeFileSync(join(state, "wireguard.key"), base64(pair.secret));
    assert.equal(wireguardKeyIn(state).publicKey, base64(pair.open));
  });

  test("is made anew where a loss of power left its file empty", () => {
    const state = folder();
    writeFileSync(join(state, "wireguard.key"), "");
    const { publicKey } = wireguardKeyIn(state);
    assert.equal(wireguardKeyIn(state).publicKey, publicKey);
  });

  test("that is damaged does not keep the agent from starting: it says what it lacks", () => {
    const state = folder();
    const lines: string[] = [];
    const log = createLog((line) => lines.push(line), Date.now);
    writeFileSync(join(state, "wireguard.key"), "\0\0\0");
    const key = keyOrNone(state, log);
    assert.match("missing" in key ? key.missing : "", /wireguard\.key: want a WireGuard key/);
    assert.equal(lines.length, 1);
    rmSync(join(state, "wireguard.key"));
    assert.ok("publicKey" in keyOrNone(state, log));
  });

  test("that is none is refused by the path of its file, and not repeated", () => {
    const state = folder();
    const path = join(state, "wireguard.key");
    for (const text of ["short", `${"!".repeat(44)}`, "AAAA"]) {
      writeFileSync(path, text);
      assert.throws(
        () => wireguardKeyIn(state),
        (error: Error & { code?: string }) =>
          error.code === "agent.wireguard-key" &&
          error.message.startsWith(`${path}: want a WireGuard key`) &&
          !error.message.includes(text),
      );
    }
  });
});
