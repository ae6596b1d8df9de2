/** One run of h2load: unary gRPC calls over few connections. */

import { spawn } from "node:child_process";

export interface H2loadOptions {
  readonly port: number;
  readonly core: number;
  readonly seconds: number;
  readonly connections: number;
  /** Calls under way on each connection. */
  readonly streams: number;
  /** Authority. */
  readonly host: string;
  /** File with the message, its prefix of five bytes included. */
  readonly body: string;
  /** Of each answer, with its prefix. */
  readonly answerBytes: number;
}

export interface H2loadReport {
  readonly calls: number;
  readonly meanUs: number;
}

/** Throws when a call failed. HTTP says nothing of that: a refused call has status 200, too, but no message. */
export async function h2load(options: H2loadOptions): Promise<H2loadReport> {
  const { port, core, seconds, connections, streams, host, body, answerBytes } = options;
  const text = await output("taskset", [
    ...["-c", String(core), "h2load", "--duration", String(seconds), "--warm-up-time", "0"],
    ...["-c", String(connections), "-m", String(streams), "-d", body],
    ...["-H", "content-type: application/grpc", "-H", "te: trailers", "-H", `:authority: ${host}`],
    `http://127.0.0.1:${port}/shop.Echo/Unary`,
  ]);
  const total = /requests: (\d+) total, .* (\d+) done, (\d+) succeeded, (\d+) failed/.exec(text);
  const [done = 0, succeeded = 0, failed = 0] = (total?.slice(2) ?? []).map(Number);
  // Calls under way when the time is over are neither; anything else is a failure.
  if (succeeded === 0 || failed > 0) throw new Error(`port ${port}: calls failed:\n${text}`);
  const data = Number(/traffic: .* \((\d+)\) data/.exec(text)?.[1] ?? 0);
  if (data < done * answerBytes)
    throw new Error(`port ${port}: ${data} bytes of messages in ${done} answers:\n${text}`);
  const mean = /time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)/.exec(text);
  const unit = { us: 1, ms: 1_000, s: 1_000_000 }[mean?.[2] ?? "us"] ?? 1;
  return { calls: done, meanUs: Number(mean?.[1] ?? 0) * unit };
}

function output(command: string, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk: string) => {
      text += chunk;
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${command} ended with ${code}:\n${text}`));
    });
  });
}
