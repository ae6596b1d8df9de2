/** One run of wrk, in one thread on one core, that reports in numbers. */

import { spawn } from "node:child_process";
import { join } from "node:path";

export interface WrkOptions {
  readonly port: number;
  readonly core: number;
  readonly seconds: number;
  readonly connections: number;
  /** Host field. */
  readonly host: string;
  readonly path?: string;
  /** Each connection waits so long after an answer before it asks again; none unless given. */
  readonly pauseMs?: number;
}

export interface WrkReport {
  readonly requests: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Throws when a request failed. */
export async function wrk(options: WrkOptions): Promise<WrkReport> {
  const { port, core, seconds, connections, host, path = "/", pauseMs = 0 } = options;
  const script = join(import.meta.dirname, "wrk-report.lua");
  const child = spawn(
    "taskset",
    [
      ...[
        "-c",
        String(core),
        "wrk",
        "-t1",
        `-c${connections}`,
        `-d${seconds}s`,
        "--timeout",
        "20s",
      ],
      ...["-H", `Host: ${host}`, "-s", script, `http://127.0.0.1:${port}${path}`, String(pauseMs)],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let text = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (chunk: string) => {
    text += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  const line = text.split("\n").find((each) => each.startsWith("{"));
  if (code !== 0 || line === undefined) throw new Error(`wrk ended with ${code}: ${text}`);
  const report = JSON.parse(line) as WrkReport & { readonly errors: number };
  if (report.errors > 0) throw new Error(`port ${port}: ${report.errors} requests failed`);
  return report;
}

/** Compilers want requests and not time, of which a busy machine needs more for as many. */
export async function warmUp(load: Omit<WrkOptions, "seconds">): Promise<void> {
  let answered = 0;
  for (let i = 0; i < 6 && answered < 25_000; i++) {
    answered += (await wrk({ ...load, seconds: 2 })).requests;
  }
}
