/**
 * What `heddle lab load` runs inside a pod: requests at a given rate, whether or not the earlier ones were answered.
 *
 * Such an open loop is how independent users behave; a closed one (so many at a time) slows down with the service and
 * hides its queue. A latency counts from the moment the request was due, so that a client that falls behind shows. The
 * moments are kept by a thread that sleeps, since timers of the event loop are a millisecond coarse.
 *
 * Prints one line of JSON, a `LoadReport`. Interrupted, it reports what it has.
 */

import http from "node:http";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { LoadOptions, LoadReport, LoadSample } from "./report.ts";

/** Requests that are not answered yet; beyond it a request is not sent, and counts as failed. */
const mostUnderWay = 5_000;
const answerTimeoutMs = 30_000;

if (isMainThread) await generate(JSON.parse(process.argv[2] ?? "{}") as LoadOptions);
else keepTime(workerData as LoadOptions);

async function generate(options: LoadOptions): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 1_000 });
  const samples: LoadSample[] = [];
  const failures = new Map<string, number>();
  let underWay = 0;
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  let isDue = true; // more requests are to come
  const finish = (due: number, status: number, problem: string | undefined) => {
    samples.push([due - startedAt, performance.timeOrigin + performance.now() - due, status]);
    if (problem !== undefined) failures.set(problem, (failures.get(problem) ?? 0) + 1);
    underWay--;
    if (!isDue && underWay === 0) end();
  };
  const send = (due: number) => {
    underWay++;
    if (underWay > mostUnderWay)
      return finish(due, 0, `more than ${mostUnderWay} requests under way`);
    let isOver = false;
    const settle = (status: number, problem?: string) => {
      if (isOver) return;
      isOver = true;
      finish(due, status, problem);
    };
    const request = http.get(options.url, { agent, timeout: answerTimeoutMs }, (response) => {
      const status = response.statusCode ?? 0;
      response.resume();
      response.once("end", () =>
        settle(status, status < 400 ? undefined : `answered with ${status}`),
      );
      response.once("error", (error) => settle(0, error.message));
    });
    request.once("timeout", () => request.destroy(new Error("no answer in 30 s")));
    request.once("error", (error) => settle(0, error.message));
  };

  const clock = new Worker(new URL(import.meta.url), { workerData: options });
  const startedAt = await new Promise<number>((resolve) => clock.once("message", resolve));
  clock.on("message", send);
  const stop = () => {
    isDue = false;
    if (underWay === 0) end();
  };
  clock.once("exit", stop);
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => void clock.terminate());
  await over;
  agent.destroy();
  const report: LoadReport = {
    url: options.url,
    startedAt,
    seconds: options.seconds,
    samples,
    failures: Object.fromEntries(failures),
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

/**
 * Tells the main thread when each request is due, in ms since the epoch; the first message is when the clock started.
 */
function keepTime({ requestsPerSecond, seconds, isPoisson }: LoadOptions): void {
  const bell = new Int32Array(new SharedArrayBuffer(4));
  const now = () => performance.timeOrigin + performance.now();
  const start = now();
  parentPort?.postMessage(start);
  const gapMs = 1000 / requestsPerSecond;
  let due = start;
  for (;;) {
    due += isPoisson ? -Math.log1p(-Math.random()) * gapMs : gapMs;
    if (due >= start + seconds * 1000) return;
    const wait = due - now();
    if (wait > 0) Atomics.wait(bell, 0, 0, wait);
    parentPort?.postMessage(due);
  }
}
