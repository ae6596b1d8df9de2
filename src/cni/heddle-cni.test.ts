/** The CNI executable, compiled and run against an agent that is a socket and a function. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type CniInvocation, decodeInvocation, encodeReply } from "../wire/cni/frame.ts";
import { supportedVersions } from "../wire/cni/version.ts";

const configuration = '{"cniVersion": "1.0.0", "name": "pods", "type": "heddle-cni"}';
const unreachable = { HEDDLE_CNI_TIMEOUT_MS: "60" };

describe("the CNI executable", () => {
  let folder = "";
  let executable = "";
  let sockets = 0;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "heddle-cni-"));
    executable = join(folder, "heddle-cni");
    const source = join(import.meta.dirname, "heddle-cni.c");
    execFileSync("cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-o", executable, source]);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  interface Outcome {
    readonly exitCode: number | null;
    readonly stdout: string;
    readonly stderr: string;
  }

  async function run(
    env: Readonly<Record<string, string>>,
    stdin: string = configuration,
  ): Promise<Outcome> {
    const child = spawn(executable, [], { env, stdio: "pipe" });
    const text = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk) => {
      text.stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      text.stderr += chunk;
    });
    // It may end without reading.
    child.stdin.on("error", () => undefined);
    child.stdin.end(stdin);
    const [exitCode] = await once(child, "close");
    return { exitCode, ...text };
  }

  /** An agent on a socket of its own: `serve` gets the whole request and the connection to answer on. */
  async function withAgent<T>(
    serve: (invocation: CniInvocation, connection: Socket) => void,
    body: (socketPath: string) => Promise<T>,
  ): Promise<T> {
    sockets += 1;
    const path = join(folder, `${sockets}.sock`);
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      const chunks: Buffer[] = [];
      connection.on("data", (chunk: Buffer) => chunks.push(chunk));
      connection.on("end", () => serve(decodeInvocation(Buffer.concat(chunks)), connection));
      connection.on("error", () => undefined);
    });
    server.listen(path);
    await once(server, "listening");
    try {
      return await body(path);
    } finally {
      server.close();
    }
  }

  const socketOf = (path: string) => ({ HEDDLE_CNI_SOCKET: path });

  test("says what it is when nobody named a command", async () => {
    const { exitCode, stdout, stderr } = await run({});
    assert.equal(exitCode, 0);
    assert.equal(stdout, "");
    const versions = supportedVersions.join(", ");
    assert.equal(stderr, `Heddle CNI plugin\nCNI protocol versions supported: ${versions}\n`);
  });

  test("answers VERSION without an agent, with the agent's own versions", async () => {
    const { exitCode, stdout } = await run({ CNI_COMMAND: "VERSION" });
    assert.equal(exitCode, 0);
    assert.deepEqual(JSON.parse(stdout), { cniVersion: "1.0.0", supportedVersions });
  });

  test("hands the CNI environment and standard input over, and the answer back", async () => {
    let seen: CniInvocation | undefined;
    const stdin = `${configuration}\n${"x".repeat(200_000)}`;
    const result = await withAgent(
      (invocation, connection) => {
        seen = invocation;
        connection.end(encodeReply({ exitCode: 0, stdout: `{"ips":[]}\n${"y".repeat(200_000)}` }));
      },
      (path) =>
        run({ CNI_COMMAND: "ADD", CNI_ARGS: "A=1;B=2", HOME: "/", ...socketOf(path) }, stdin),
    );
    assert.deepEqual(
      { ...seen?.env },
      {
        CNI_COMMAND: "ADD",
        CNI_ARGS: "A=1;B=2",
      },
    );
    assert.equal(seen?.stdin, stdin);
    assert.equal(result.exitCode, 0);
    assert.equal(result.stdout, `{"ips":[]}\n${"y".repeat(200_000)}`);
  });

  test("ends with the agent's exit code", async () => {
    const { exitCode, stdout } = await withAgent(
      (_, connection) => connection.end(encodeReply({ exitCode: 1, stdout: '{"code":7}' })),
      (path) => run({ CNI_COMMAND: "ADD", ...socketOf(path) }),
    );
    assert.equal(exitCode, 1);
    assert.equal(stdout, '{"code":7}');
  });

  for (const [command, code] of [
    ["ADD", 11],
    ["DEL", 11],
    ["STATUS", 50],
  ] as const) {
    test(`answers ${command} with error ${code} when no agent listens`, async () => {
      const path = join(folder, "nobody.sock");
      const result = await run({ CNI_COMMAND: command, ...socketOf(path), ...unreachable });
      assert.equal(result.exitCode, 1);
      const error = JSON.parse(result.stdout);
      assert.equal(error.cniVersion, "1.0.0");
      assert.equal(error.code, code);
      assert.ok(error.msg.includes(path), error.msg);
      assert.match(error.details, /waited \d+ ms: .*heddle agent/);
    });
  }

  test("waits for an agent that is being restarted", async () => {
    const path = join(folder, "late.sock");
    const running = run({ CNI_COMMAND: "ADD", ...socketOf(path) });
    // The executable is waiting, or about to: either way it finds the socket once it is there.
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      connection.resume();
      connection.on("end", () => connection.end(encodeReply({ exitCode: 0, stdout: "late" })));
    });
    server.listen(path);
    try {
      assert.deepEqual(await running, { exitCode: 0, stdout: "late", stderr: "" });
    } finally {
      server.close();
    }
  });

  test("gives up on an agent that never answers", async () => {
    const result = await withAgent(
      (_, connection) => connection.write("0"),
      async (path) => {
        const outcome = await run({ CNI_COMMAND: "ADD", ...socketOf(path), ...unreachable });
        return outcome;
      },
    );
    assert.equal(result.exitCode, 1);
    assert.match(JSON.parse(result.stdout).details, /receive: no answer in time/);
  });

  test("takes an answer without an exit code as no answer", async () => {
    const result = await withAgent(
      (_, connection) => connection.end("oops"),
      (path) => run({ CNI_COMMAND: "DEL", ...socketOf(path) }),
    );
    assert.equal(result.exitCode, 1);
    assert.equal(JSON.parse(result.stdout).code, 11);
    assert.match(JSON.parse(result.stdout).details, /without an answer/);
  });

  test("refuses a socket path that the kernel could not take", async () => {
    const result = await run({ CNI_COMMAND: "ADD", ...socketOf(`/${"a".repeat(120)}`) });
    assert.match(JSON.parse(result.stdout).details, /longer than 107 bytes/);
  });
});
