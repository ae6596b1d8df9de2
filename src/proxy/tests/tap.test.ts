/** Requests that are shown to whoever watches. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseTapLine } from "../../wire/observation/parse-tap.ts";
import { adminServer, listen } from "../observe/admin.ts";
import type { Sidecar } from "../sidecar.ts";
import { noLegacy } from "../succession.ts";
import { Harness, request } from "../testing/harness.ts";

/** The sidecar's admin socket, and taps on it. */
class Admin implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "heddle-tap-"));
  readonly #server: ReturnType<typeof adminServer>;

  constructor(sidecar: Sidecar) {
    this.#server = adminServer(sidecar, {
      drain() {},
      legacy: () => noLegacy,
      log: { least: "info" },
    });
  }

  async start(): Promise<this> {
    await listen(this.#server, { path: this.#path });
    return this;
  }

  get #path(): string {
    return join(this.#folder, "admin.sock");
  }

  async tap(query: string) {
    const asked = get({ socketPath: this.#path, agent: false, path: `/heddle/tap?${query}` });
    asked.on("error", () => undefined);
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    let text = "";
    response.setEncoding("utf8").on("error", () => undefined);
    response.on("data", (more: string) => {
      text += more;
    });
    const lines = () => text.split("\n").slice(0, -1);
    return {
      status: response.statusCode,
      async until(count: number) {
        while (lines().length < count) await once(response, "data");
        return lines().map((line) => parseTapLine(JSON.parse(line)));
      },
      end: () => asked.destroy(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.#folder, { recursive: true });
  }
}

describe("a sidecar's tap", () => {
  test("shows what it was asked for, and costs nothing once its reader has gone", async () => {
    await using harness = new Harness();
    const app = await harness.app((req, res) => {
      res.statusCode = req.url === "/broken" ? 503 : 200;
      res.end("x");
    });
    const { sidecar, port } = await harness.toPorts([app]);
    await using admin = await new Admin(sidecar).start();
    const { taps } = sidecar.runtime.recorder;
    assert.equal(taps.isOn, false);
    const posts = await admin.tap("method=POST&path=/a&from=web-v1");
    const failures = await admin.tap("status=5xx");
    const strangers = await admin.tap("from=somebody");
    for (const path of ["/a?1", "/b", "/a?2"]) await request(port, { method: "POST", path }, "x");
    await request(port, { path: "/a" });
    await request(port, { path: "/broken" });
    const seen = (await posts.until(2)).map((line) => ("request" in line ? line.request : line));
    assert.deepEqual(
      seen.map((each) => "path" in each && [each.path, each.status, each.source, each.reporter]),
      [
        ["/a?1", 200, "shop/web-v1", "source"],
        ["/a?2", 200, "shop/web-v1", "source"],
      ],
    );
    const [failed] = await failures.until(1);
    assert.ok(failed !== undefined && "request" in failed && failed.request.path === "/broken");
    for (const tap of [posts, failures, strangers]) tap.end();
    while (taps.isOn) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test("shows two hundred requests a second and counts the rest", async () => {
    await using harness = new Harness();
    const app = await harness.app((_req, res) => res.end("x"));
    const { sidecar, port } = await harness.toPorts([app]);
    await using admin = await new Admin(sidecar).start();
    const tap = await admin.tap("");
    let sent = 0;
    // Until something must have been left out: a slow machine takes longer than a second for so many.
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 250 }, () => request(port)));
      sent += 250;
      const lines = await tap.until(1);
      if (lines.some((line) => "leftOut" in line)) break;
    }
    const told = () =>
      tap
        .until(1)
        .then((lines) =>
          lines.reduce((sum, line) => sum + ("leftOut" in line ? line.leftOut : 1), 0),
        );
    while ((await told()) < sent) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await told(), sent, "every request is shown or counted");
    tap.end();
  });

  test("refuses a question that is too long, and serves on", async () => {
    await using harness = new Harness();
    const app = await harness.app((_req, res) => res.end("x"));
    const { sidecar, port } = await harness.toPorts([app]);
    await using admin = await new Admin(sidecar).start();
    assert.equal((await admin.tap(`path=${"x".repeat(3_000)}`)).status, 400);
    assert.equal((await request(port)).status, 200);
  });
});
