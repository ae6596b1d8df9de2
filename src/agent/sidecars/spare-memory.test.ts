/** What a sidecar process holds before it has a pod, as agents start it. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { until } from "../fake/calls.ts";
import { sidecarNodeOptions } from "./node-options.ts";

const entry = join(import.meta.dirname, "../../main.ts");

class Spare implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(compileCache: string) {
    this.process = spawn(
      process.execPath,
      [...sidecarNodeOptions, entry, "proxy", "--assignment-fd", "3"],
      {
        env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
        stdio: ["ignore", "ignore", "inherit", "pipe"],
      },
    );
    this.#ended = new Promise((resolve) => this.process.once("exit", () => resolve()));
  }

  environment(): string[] {
    return readFileSync(`/proc/${this.process.pid}/environ`, "utf8").split("\0");
  }

  /** Gives it what is no assignment; what it says of it. */
  async refusal(): Promise<string> {
    const channel = this.process.stdio[3] as Duplex;
    channel.write("{}\n");
    let said = "";
    for await (const chunk of channel.setEncoding("utf8")) said += chunk;
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.#ended;
  }
}

test("the first sidecars after a change of the program held 20 MB more than others, the compiler", async () => {
  const cache = mkdtempSync(join(tmpdir(), "heddle-cache-"));
  try {
    await using first = new Spare(cache);
    await until(() => first.environment().includes("HEDDLE_STARTED_ANEW=1"));
    assert.match(await first.refusal(), /uid must be a number/, "its descriptor 3 is the same");
  } finally {
    rmSync(cache, { recursive: true });
  }
});

test("a sidecar holds neither grpc-js nor the client that comes with Node", async () => {
  const modules = ["proxy/main.ts", "proxy/config/xds-source.ts"].map((path) =>
    JSON.stringify(join(import.meta.dirname, "../..", path)),
  );
  const script = `
    import { createRequire } from "node:module";
    for (const path of [${modules}]) await import(path);
    const { cache } = createRequire(import.meta.url);
    console.log([...process.moduleLoadList, ...Object.keys(cache)].join("\\n"));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let loaded = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) loaded += chunk;
  assert.match(loaded, /NativeModule http$/m);
  assert.deepEqual(
    loaded.split("\n").filter((name) => /undici|grpc-js/.test(name)),
    [],
  );
});
