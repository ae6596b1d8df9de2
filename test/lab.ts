/**
 * Labs for end-to-end tests: brought up by the same command that people use, and gone when the test's scope ends.
 *
 *     await using lab = await startLab({ files: ["examples/shop"] });
 *     const answer = await lab.curl("web", "http://cart/");
 *     await lab.apply(manifest);
 *
 * Every lab has a name and a data folder of its own, so tests disturb neither each other nor a lab that somebody has up.
 */

import { spawn } from "node:child_process";
import { chmod, cp, glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../src/base/error.ts";
import { type Connection, connectSocket } from "../src/cli/connection.ts";
import type { LabStatus, PodStatus } from "../src/lab/status.ts";
import { type Ended, held } from "./explained.ts";

/** Why tests that need namespaces are skipped; false where they run: `test(name, { skip: skipWithoutRoot }, …)`. */
export const skipWithoutRoot: string | false =
  process.getuid?.() === 0 ? false : "needs root: it makes network namespaces";

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LabTestOptions {
  /** Manifests and folders of them, relative to the project's folder; without: the shop. */
  readonly files?: readonly string[];
  readonly nodes?: number;
  /** Text of an image map. */
  readonly images?: string;
  /** Name servers for names outside of the lab. */
  readonly upstream?: string;
  /** Of pods that do not say; absent: HEDDLE_TEST_SIDECAR_MODE, else what agents do unasked. */
  readonly sidecarMode?: "dedicated" | "shared";
  /** Hold each request against `explain`: true unless told, which takes a reason. */
  readonly explained?: boolean;
}

export const projectRoot: string = join(import.meta.dirname, "..");
const entry = join(projectRoot, "src", "main.ts");
const logsKept = join(projectRoot, "build", "test", "logs");
let labs = 0;

export class TestLab implements AsyncDisposable {
  readonly name: string;
  /** HEDDLE_LAB_DIR: the lab's data are in the folder of its name below it. */
  readonly base: string;
  readonly connection: Connection;
  readonly #explained: boolean;

  constructor(name: string, base: string, explained: boolean) {
    this.name = name;
    this.base = base;
    this.#explained = explained;
    this.connection = connectSocket(join(base, name, "server", "admin.sock"), () => {});
  }

  /** `heddle lab <words>` for this lab; a code other than 0 is an answer, too. */
  async run(command: string, ...words: string[]): Promise<CommandResult> {
    return heddle(["lab", command, "--name", this.name, ...words], this.base);
  }

  /** The same, for commands that must succeed; gives what they print. */
  async must(command: string, ...words: string[]): Promise<string> {
    const result = await this.run(command, ...words);
    if (result.code === 0) return result.stdout;
    const said = (result.stderr.trim() || result.stdout.trim()).slice(-2_000);
    throw new MeshError("test.lab", `lab ${command} ${words.join(" ")}: ${said || result.code}`);
  }

  /** A command inside a pod. */
  exec(pod: string, ...command: string[]): Promise<CommandResult> {
    return this.run("exec", pod, "--", ...command);
  }

  /** curl inside a pod; `code` is curl's own (28: timed out). What comes of it must be what `explain` says. */
  curl(pod: string, ...words: string[]): Promise<CommandResult> {
    return this.#held(pod, words, () => this.#curl(pod, ...words));
  }

  /** Status code and body of a request made inside a pod. */
  async request(
    pod: string,
    url: string,
    ...options: string[]
  ): Promise<{ readonly status: number; readonly body: string }> {
    const { code, stderr, status, body } = await this.#held(pod, [url, ...options], async () => {
      const result = await this.#curl(pod, "-w", "\n%{http_code}", url, ...options);
      const end = result.stdout.lastIndexOf("\n");
      const answered = Number(result.stdout.slice(end + 1));
      const seen = result.stdout.slice(0, end);
      // Without an answer curl prints a status of 0.
      return { ...result, stdout: seen, status: answered, body: seen };
    });
    if (code !== 0) throw new MeshError("test.curl", `curl ${url} in ${pod}: ${stderr.trim()}`);
    return { status, body };
  }

  #curl(pod: string, ...words: string[]): Promise<CommandResult> {
    return this.run("curl", pod, "--silent", "--show-error", ...words);
  }

  #held<T extends Ended>(pod: string, words: string[], run: () => Promise<T>): Promise<T> {
    return this.#explained ? held(this.connection.client, pod, words, run) : run();
  }

  /** Applies manifests given as text; returns when every agent and sidecar has them. */
  async apply(yaml: string): Promise<void> {
    await this.#withFile(yaml, (file) => this.must("apply", file));
  }

  async applyFiles(...files: string[]): Promise<void> {
    await this.must("apply", ...files);
  }

  async delete(yaml: string): Promise<void> {
    await this.#withFile(yaml, (file) => this.must("delete", file));
  }

  async status(): Promise<LabStatus> {
    return JSON.parse(await this.must("status", "--json")) as LabStatus;
  }

  /** The pods whose name starts with `prefix`, e.g. a Deployment's. */
  async pods(prefix: string): Promise<readonly PodStatus[]> {
    return (await this.status()).pods.filter(({ name }) => name.startsWith(prefix));
  }

  /** Polls until `look` gives something; for states that no event announces. Fails after `timeoutMs`. */
  async until<T>(
    what: string,
    look: (lab: TestLab) => Promise<T | undefined | false>,
    timeoutMs = 20_000,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = await look(this);
      if (found !== undefined && found !== false) return found;
      if (performance.now() > deadline) {
        throw new MeshError("test.until", `${what}: not so after ${timeoutMs} ms`);
      }
    }
  }

  /** Ends the lab. Its logs are kept in build/test/logs: a failed test is read from them. */
  async down(): Promise<void> {
    this.connection.close();
    const kept = join(logsKept, this.name);
    await rm(kept, { recursive: true, force: true });
    const data = join(this.base, this.name);
    await cp(join(data, "logs"), kept, { recursive: true }).catch(() => {});
    for await (const log of glob("n*/run/pods/*/proxy.log", { cwd: data })) {
      await cp(join(data, log), join(kept, "sidecars", `${log.split("/").at(-2)}.log`));
    }
    await this.run("down");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
    await rm(this.base, { recursive: true, force: true });
  }

  async #withFile<T>(text: string, use: (file: string) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(this.base, "manifest-"));
    const file = join(folder, "manifest.yaml");
    await writeFile(file, text);
    try {
      return await use(file);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
}

/** Brings a lab up; every pod is ready when it resolves. */
export async function startLab(options: LabTestOptions = {}): Promise<TestLab> {
  const name = `t${process.pid}-${++labs}`;
  const base = await mkdtemp("/tmp/heddle-");
  // Sidecars are not root, and their sockets are below this folder.
  await chmod(base, 0o711);
  const images: string[] = [];
  if (options.images !== undefined) {
    const file = join(base, "images.yaml");
    await writeFile(file, options.images);
    images.push("--images", file);
  }
  const lab = new TestLab(name, base, options.explained ?? true);
  try {
    const nodes = String(options.nodes ?? 2);
    const upstream = options.upstream === undefined ? [] : ["--upstream", options.upstream];
    const wanted = options.sidecarMode ?? process.env["HEDDLE_TEST_SIDECAR_MODE"];
    const mode = wanted === undefined ? [] : ["--sidecar-mode", wanted];
    const flags = ["--detach", "--nodes", nodes, ...images, ...upstream, ...mode];
    await lab.must("up", ...flags, ...(options.files ?? []));
  } catch (error) {
    const log = await readFile(join(base, name, "logs", "server.log"), "utf8").catch(() => "");
    await lab[Symbol.asyncDispose]();
    throw new MeshError("test.lab", `start lab ${name}; server: ${log.slice(-1_000)}`, {
      cause: error,
    });
  }
  return lab;
}

/** Runs this checkout's CLI. */
export function heddle(words: readonly string[], labBase?: string): Promise<CommandResult> {
  const env = labBase === undefined ? process.env : { ...process.env, HEDDLE_LAB_DIR: labBase };
  return spawned(process.execPath, [entry, ...words], env);
}

function spawned(
  file: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, words, { cwd: projectRoot, stdio: ["ignore", "pipe", "pipe"], env });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.once("error", reject);
    child.once("close", (code) =>
      resolve({
        code: code ?? 1,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    );
  });
}
