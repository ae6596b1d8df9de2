/**
 * A server of which everything is known, to hold queueing models against: WORKERS workers serve in order of arrival,
 * each one request at a time, and each request takes SERVICE_MS on average, always (SERVICE_DIST=deterministic) or
 * exponentially distributed.
 *
 * A worker is a thread that sleeps: the kernel's timer is good to a tenth of a millisecond, and sleeping takes no time
 * from whatever else the machine does. What a request took is in its answer.
 */

import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { type Answer, podName, serveHttp } from "./serving.ts";

const meanMs = Number(process.env["SERVICE_MS"] ?? 10);
const isExponential = process.env["SERVICE_DIST"] !== "deterministic";

if (isMainThread) serve();
else work();

function serve(): void {
  const waiting: ((answer: Answer) => void)[] = [];
  const idle: Worker[] = [];
  const next = () => {
    while (idle.length > 0) {
      const answer = waiting.shift();
      if (answer === undefined) return;
      const worker = idle.pop();
      worker?.once("message", (serviceMs: number) => {
        idle.push(worker);
        next();
        answer({ body: { pod: podName, serviceMs } });
      });
      worker?.postMessage("serve");
    }
  };
  for (let i = 0; i < Number(process.env["WORKERS"] ?? 1); i++)
    idle.push(new Worker(new URL(import.meta.url)));
  serveHttp([Number(process.env["PORT"] ?? 8080)], (_request, url) => {
    if (url.pathname === "/healthz") return { body: "ok" };
    return new Promise((resolve) => {
      waiting.push(resolve);
      next();
    });
  });
}

function work(): void {
  const bell = new Int32Array(new SharedArrayBuffer(4));
  parentPort?.on("message", () => {
    const from = performance.now();
    Atomics.wait(bell, 0, 0, isExponential ? -Math.log1p(-Math.random()) * meanMs : meanMs);
    parentPort?.postMessage(performance.now() - from);
  });
}
