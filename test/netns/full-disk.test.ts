/**
 * An agent whose state is on a disk that is full: what is attached goes on and can go, what is new is refused whole, and
 * everything heals when there is room. The disk is a megabyte of memory, in a mount namespace that ends with the agent.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { until } from "../../src/agent/fake/calls.ts";
import { readStatus } from "../../src/agent/fake/node.ts";
import type { AgentStatus, AttachmentStatus } from "../../src/agent/status.ts";
import { inNetns } from "../../src/kernel/netns.ts";
import { executable, skipWithoutExecutable } from "./cni-node.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";

const script = join(import.meta.dirname, "../../src/agent/fake/node-process.ts");
const pods = ["meshed-0", "meshed-1"];
const mountAndRun =
  'mkdir -p "$0/state" && mount -t tmpfs -o size=1m tmpfs "$0/state" && exec "$@"';

test("a process whose log is on a full disk goes on", { skip: needsRoot }, async () => {
  using scratch = new Scratch();
  const directory = mkdtempSync(join(tmpdir(), "heddle-full-"));
  scratch.defer(() => rmSync(directory, { recursive: true, force: true }));
  const main = join(import.meta.dirname, "../../src/main.ts");
  const full =
    'mkdir "$0/log" && mount -t tmpfs -o size=64k tmpfs "$0/log" && : >"$0/log/log" && ' +
    '! head -c 1000000 /dev/zero 2>/dev/null >"$0/log/filler" && exec "$@" 2>>"$0/log/log"';
  const words = [main, "server", "--data", join(directory, "data"), "--listen", "127.0.0.1"];
  const server = spawn(
    "unshare",
    [
      "--mount",
      "--net",
      "sh",
      "-c",
      `ip link set lo up && ${full}`,
      directory,
      process.execPath,
      ...words,
    ],
    { stdio: "inherit" },
  );
  const ended = once(server, "exit");
  const socketPath = join(directory, "data/admin.sock");
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const sent = get({ socketPath, path: "/api/v1/pods", agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      sent.once("error", () => resolve(false));
    });
  await until(async () => server.exitCode !== null || (await answers()));
  assert.equal(server.exitCode, null);
  server.kill("SIGTERM");
  await ended;
});

describe("an agent whose disk is full", { skip: skipWithoutExecutable }, () => {
  const scratch = new Scratch();
  const directory = mkdtempSync(join(tmpdir(), "heddle-full-"));
  let agent: ChildProcess;
  let first: string;
  let second: string;

  before(async () => {
    [first, second] = [scratch.netns(), scratch.netns()]; // what is made later the agent's mounts do not have
    const node = [process.execPath, script, scratch.netns(), directory, ...pods];
    agent = spawn("unshare", ["--mount", "sh", "-c", mountAndRun, directory, ...node], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    assert.ok(agent.stdout !== null);
    await once(agent.stdout, "data");
  });
  after(async () => {
    const ended = once(agent, "exit");
    agent.kill("SIGTERM");
    await ended;
    scratch[Symbol.dispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  test("replaces a killed sidecar, refuses an ADD whole, does a DEL, and writes all down when there is room", async () => {
    assert.equal((await cni("ADD", "meshed-0", first)).code, undefined);
    const before = pidOf(await attachment());
    fill();

    process.kill(before, "SIGKILL");
    const after = await until(async () => {
      const pid = pidOf(await attachment());
      return pid === before ? 0 : pid;
    });

    const refused = await cni("ADD", "meshed-1", second);
    assert.equal(refused.code, 11);
    assert.match(refused.msg ?? "", /write attachment record .*no space left on device/);
    assert.equal((await status()).attachments.length, 1);
    assert.equal((await status()).addressesInUse, 1);
    assert.equal(
      inNetns(second, () => execFileSync("nft", ["list", "tables"], { encoding: "utf8" })),
      "",
    );

    makeRoom();
    assert.equal((await cni("ADD", "meshed-1", second)).code, undefined);
    const link = (await attachment())?.link ?? "";
    await until(() => writtenPid(link) === after);

    fill();
    for (const pod of pods) assert.equal((await cni("DEL", pod, "")).code, undefined);
    assert.deepEqual((await status()).attachments, []);
    makeRoom();
    assert.deepEqual(readdirSync(onDisk("attachments")), []);
    assert.equal((await cni("ADD", "meshed-0", first)).code, undefined);
    assert.equal((await cni("DEL", "meshed-0", first)).code, undefined);
  });

  function onDisk(...path: readonly string[]): string {
    return join(`/proc/${agent.pid}/root`, directory, "state", ...path);
  }

  function fill(): void {
    assert.throws(() => writeFileSync(onDisk("filler"), Buffer.alloc(2 ** 21)), { code: "ENOSPC" });
  }

  function makeRoom(): void {
    rmSync(onDisk("filler"));
  }

  function status(): Promise<AgentStatus> {
    return readStatus(join(directory, "run/agent.sock"));
  }

  async function attachment(): Promise<AttachmentStatus | undefined> {
    return (await status()).attachments[0];
  }

  function pidOf(found: AttachmentStatus | undefined): number {
    return found?.sidecar?.kind === "ready" ? found.sidecar.pid : 0;
  }

  function writtenPid(link: string): number {
    const text = readFileSync(onDisk("attachments", `${link}.json`), "utf8");
    return JSON.parse(text).sidecar.process.pid;
  }

  function cni(
    command: string,
    pod: string,
    netns: string,
  ): Promise<{ readonly code?: number; readonly msg?: string }> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: `c-${pod}`,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${pod}`,
      HEDDLE_CNI_SOCKET: join(directory, "run/cni.sock"),
    };
    return new Promise((resolve) => {
      const child = execFile(executable, [], { env }, (_, stdout) =>
        resolve(stdout === "" ? {} : JSON.parse(stdout)),
      );
      child.stdin?.end(JSON.stringify({ cniVersion: "1.0.0", name: "pods" }));
    });
  }
});
