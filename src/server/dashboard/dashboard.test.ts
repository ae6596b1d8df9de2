import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import type { Clock } from "../../base/clock.ts";
import { createLog } from "../../base/log.ts";
import { seededRandom } from "../../base/random.ts";
import { startServer } from "../main.ts";
import { noXds } from "../testdata/no-xds.ts";
import { wallClock } from "../testdata/wall-clock.ts";
import { openSessions, sessionMs } from "./sessions.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-dashboard-"));
const data = join(folder, "data");
const bundle = join(folder, "bundle");
mkdirSync(join(bundle, "assets"), { recursive: true });
writeFileSync(join(bundle, "index.html"), "<!doctype html><title>Heddle</title>");
writeFileSync(join(bundle, "assets", "main-1a2b.js"), "export {};");
writeFileSync(join(bundle, "assets", "main-1a2b.js.gz"), gzipSync("export {};"));

/** Keeps count of what would be slept, and sleeps until `awake`. */
const slept: number[] = [];
let awake: Promise<void> = Promise.resolve();
const clock: Clock = {
  now: wallClock.now,
  sleep(ms) {
    slept.push(ms);
    return awake;
  },
};
const stop = new AbortController();
const running = await startServer(
  {
    dataDir: data,
    listen: { host: "127.0.0.1", apiPort: 0, xdsPort: 0, metricsPort: 0 },
    dashboardDir: bundle,
  },
  {
    clock,
    random: seededRandom(1),
    log: createLog((line) => process.stderr.write(`${line}\n`), Date.now, "error"),
    startXdsServer: noXds,
  },
  stop.signal,
);
const token = readFileSync(join(data, "admin-token"), "utf8").trim();
after(async () => {
  stop.abort();
  await running.closed;
  rmSync(folder, { recursive: true });
});

describe("the dashboard's files", () => {
  test("are served without signing in, the page never cached and the rest for ever", async () => {
    const page = await ask("GET", "/");
    assert.equal(page.code, 200);
    assert.match(page.body, /<title>Heddle/);
    assert.equal(page.headers["cache-control"], "no-store");
    const script = await ask("GET", "/assets/main-1a2b.js");
    assert.match(script.headers["cache-control"] ?? "", /immutable/);
    assert.equal(script.headers["x-content-type-options"], "nosniff");
  });

  test("forbid inline scripts, other origins and frames", async () => {
    const policy = String((await ask("GET", "/")).headers["content-security-policy"]);
    assert.match(policy, /script-src 'self'(;|$)/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
  });

  test("come compressed to those who take that", async () => {
    const { headers, raw } = await ask("GET", "/assets/main-1a2b.js", {
      "accept-encoding": "gzip",
    });
    assert.equal(headers["content-encoding"], "gzip");
    assert.equal(gunzipSync(raw).toString(), "export {};");
  });

  test("are no way into other folders", async () => {
    for (const path of ["/../data/admin-token", "/assets/../../data/admin-token", "/%2e%2e/x"]) {
      const { code, body } = await ask("GET", path);
      assert.equal(code, 401, path);
      assert.ok(!body.includes(token));
    }
  });
});

describe("signing in", () => {
  test("gives a cookie that scripts, other sites and other installations do not get", async () => {
    const { code, headers } = await signIn(token);
    assert.equal(code, 201);
    const cookie = headers["set-cookie"]?.[0] ?? "";
    assert.match(
      cookie,
      /^heddle-[0-9a-f]{8}=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
    );
  });

  test("is refused late with a wrong token, and says nothing about the right one", async () => {
    const before = slept.length;
    const { code, body } = await signIn(`${token.slice(0, -1)}!`);
    assert.equal(code, 401);
    assert.deepEqual(slept.slice(before), [1_000]);
    assert.match(body, /not the administrator's token/);
    for (const wrong of ["", 7, null, { token }]) {
      const answer = await ask("POST", session, json, JSON.stringify({ token: wrong }));
      assert.ok([400, 401].includes(answer.code), `${JSON.stringify(wrong)}: ${answer.code}`);
    }
  });

  test("refuses a flood of wrong tokens at once, and lets the right one in meanwhile", async () => {
    const sleep = Promise.withResolvers<void>();
    awake = sleep.promise;
    const codes: number[] = [];
    const refused = Promise.withResolvers<void>();
    const flood = Array.from({ length: 40 }, async () => {
      if (codes.push((await signIn("guess")).code) === 32) refused.resolve();
    });
    await refused.promise;
    assert.ok(codes.every((code) => code === 429));
    assert.equal((await signIn(token)).code, 201);
    sleep.resolve();
    await Promise.all(flood);
    assert.deepEqual(codes.slice(32), Array(8).fill(401));
  });

  test("is not done by a form of another site", async () => {
    const body = JSON.stringify({ token });
    const form = await ask("POST", session, { "content-type": "text/plain" }, body);
    assert.equal(form.code, 400);
    const foreign = await ask("POST", session, { ...json, "sec-fetch-site": "same-site" }, body);
    assert.equal(foreign.code, 403);
  });
});

describe("a session", () => {
  test("reads all but Secrets, and writes nothing", async () => {
    const cookie = await cookieOf(token);
    assert.equal((await ask("GET", "/api/v1/namespaces", { cookie })).code, 200);
    assert.equal((await ask("GET", session, { cookie })).code, 200);
    const namespace = JSON.stringify({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "made" },
    });
    const write = await ask("POST", "/api/v1/namespaces", { cookie, ...json }, namespace);
    assert.equal(write.code, 403);
    const nodeToken = await ask("POST", "/heddle/v1/node-tokens", { cookie, ...json }, "{}");
    assert.equal(nodeToken.code, 403);
    assert.equal((await ask("DELETE", "/api/v1/namespaces/default", { cookie })).code, 403);
    for (const path of ["/api/v1/secrets", "/api/v1/namespaces/default/secrets/any"]) {
      assert.equal((await ask("GET", path, { cookie })).code, 403, path);
    }
    const issued = await ask("POST", "/heddle/v1/node-tokens", { cookie, ...json }, "{}");
    assert.equal(issued.code, 403);
  });

  test("answers nothing that a page of another origin asked for", async () => {
    const cookie = await cookieOf(token);
    for (const site of ["same-site", "cross-site"]) {
      const headers = { cookie, "sec-fetch-site": site };
      assert.equal((await ask("GET", "/api/v1/namespaces", headers)).code, 403, site);
    }
    const own = { cookie, "sec-fetch-site": "same-origin" };
    assert.equal((await ask("GET", "/api/v1/namespaces", own)).code, 200);
  });

  test("ends when its browser signs out", async () => {
    const cookie = await cookieOf(token);
    const out = await ask("DELETE", session, { cookie });
    assert.match(out.headers["set-cookie"]?.[0] ?? "", /=; Max-Age=0/);
    assert.equal((await ask("GET", "/api/v1/namespaces", { cookie })).code, 401);
  });

  test("is one of a bounded number that outlive a restart and end in time", async () => {
    const file = join(folder, "sessions.json");
    let now = 1_000;
    const sessions = await openSessions(file, () => now);
    const ids: string[] = [];
    for (let i = 0; i < 70; i++) ids.push((await sessions.begin()).reveal());
    const again = await openSessions(file, () => now);
    assert.equal(ids.filter((id) => again.accepts(id)).length, 64);
    assert.ok(again.accepts(ids.at(-1) ?? ""), "the newest");
    assert.ok(!again.accepts(ids[0] ?? ""), "the oldest made room");
    assert.ok(!readFileSync(file, "utf8").includes(ids.at(-1) ?? ""), "only hashes are kept");
    now += sessionMs;
    assert.ok(!again.accepts(ids.at(-1) ?? ""), "its time is up");
  });
});

describe("the administrator's token", () => {
  test("opens the API over HTTPS, and is readable by the server's user alone", async () => {
    const authorization = `Bearer ${token}`;
    const answer = await ask("GET", "/api/v1/namespaces", { authorization }, undefined, "https");
    assert.equal(answer.code, 200);
    const wrong = { authorization: `Bearer ${token}x` };
    assert.equal((await ask("GET", "/api/v1/nodes", wrong, undefined, "https")).code, 401);
    assert.equal((await ask("GET", "/api/v1/nodes", {}, undefined, "https")).code, 401);
    for (const name of ["admin-token", "sessions.json", "dashboard.sock"]) {
      assert.equal(statSync(join(data, name)).mode & 0o777, 0o600, name);
    }
  });

  test("gives a cookie for TLS only where it was sent over TLS", async () => {
    const { headers } = await signIn(token, "https");
    assert.match(headers["set-cookie"]?.[0] ?? "", /^__Host-heddle-.*; Secure$/);
  });
});

const session = "/heddle/v1/session";
const json = { "content-type": "application/json" };

interface Heard {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly raw: Buffer;
}

function signIn(given: string, over: "socket" | "https" = "socket"): Promise<Heard> {
  return ask("POST", session, json, JSON.stringify({ token: given }), over);
}

async function cookieOf(given: string): Promise<string> {
  return (await signIn(given)).headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
}

/** The path goes out as it is written: `fetch` would resolve its dots. */
function ask(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: string,
  over: "socket" | "https" = "socket",
): Promise<Heard> {
  const where =
    over === "socket"
      ? { socketPath: join(data, "dashboard.sock") }
      : { host: "127.0.0.1", port: running.apiPort, ca: running.rootPem };
  return new Promise((resolve, reject) => {
    const send = over === "socket" ? httpRequest : httpsRequest;
    const request = send({ ...where, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const raw = Buffer.concat(chunks);
        const { statusCode = 0 } = response;
        resolve({ code: statusCode, headers: response.headers, body: raw.toString(), raw });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}
