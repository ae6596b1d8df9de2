/** A server as a process that dies. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Service } from "../api/k8s/core.ts";
import { httpTransport } from "../rpc/http-transport.ts";
import { endpointOf, issueToken } from "./testdata/node-tokens.ts";
import { service } from "./testdata/objects.ts";
import { clientOver } from "./testdata/running-server.ts";

describe("a server that is killed and started again", () => {
  test("has the same objects, root and tokens, and its watchers go on where they were", async (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), "heddle-server-"));
    t.after(() => rmSync(dataDir, { recursive: true }));
    const socket = join(dataDir, "admin.sock");
    const first = await startProcess(dataDir);
    const before = httpTransport({ kind: "socket", path: socket });
    const writer = clientOver(before);
    const bootstrap = await issueToken(before, "n");
    const created = await writer.create(service("kept"));

    const overTls = httpTransport(endpointOf(bootstrap));
    const ending = new AbortController();
    const events = clientOver(overTls)
      .watch<Service>("Service", ending.signal)
      [Symbol.asyncIterator]();
    const { value: synced } = await events.next();
    assert.equal(
      synced?.type === "synced" && synced.objects[0]?.metadata.uid,
      created.metadata.uid,
    );

    first.process.kill("SIGKILL");
    await first.ended;
    before.close();
    const second = await startProcess(dataDir, first.apiPort);
    const again = httpTransport({ kind: "socket", path: socket });
    const newer = clientOver(again);
    assert.deepEqual(await newer.get("Service", "default", "kept"), created);
    await newer.create(service("later"));
    const { value: change } = await events.next();
    assert.equal(change?.type === "added" && change.object.metadata.name, "later");

    ending.abort();
    await events.return?.();
    overTls.close();
    again.close();
    second.process.kill("SIGKILL");
    await second.ended;
  });
});

interface Started {
  readonly process: ChildProcess;
  readonly apiPort: number;
  readonly ended: Promise<unknown>;
}

async function startProcess(dataDir: string, apiPort = 0): Promise<Started> {
  const script = fileURLToPath(new URL("./testdata/server.ts", import.meta.url));
  const child = spawn(process.execPath, [script, dataDir, String(apiPort)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    return { process: child, ended, ...(JSON.parse(line) as { apiPort: number }) };
  }
  throw new Error("the server ended before it was ready");
}
