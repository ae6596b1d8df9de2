/**
 * The worker that lays graphs out. A module of its own, because the worker takes the longest of all to start: the page
 * sets it off before anything else, without waiting for the code that will use it.
 */

import workerUrl from "elkjs/lib/elk-worker.min.js?url";

let started: Worker | undefined;

export function layoutWorker(): Worker {
  started ??= new Worker(workerUrl);
  return started;
}
