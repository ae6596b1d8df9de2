/**
 * The graph as it changes: one stream of server-sent events for all pages, and how fresh it is.
 *
 * The browser reconnects by itself. Meanwhile what was last heard stays, marked with its age: old numbers that say so
 * are more use than none. A page that nobody looks at lets go of its stream, since a browser has but six connections
 * to a host, and takes it up again when it is looked at.
 */

import { useSyncExternalStore } from "react";
import type { TrafficGraph } from "../../../src/model/observation.ts";
import { ask } from "./ask.ts";
import { withIdle } from "./with-idle.ts";

export interface Live {
  /** `connecting` until the first answer; `away` while the server cannot be reached. */
  readonly state: "connecting" | "live" | "away";
  readonly graph?: TrafficGraph;
  /** By this browser's clock. */
  readonly receivedAt?: number;
}

const hiddenMs = 30_000;
const retryMs = 1_000;

let live: Live = { state: "connecting" };
let source: EventSource | undefined;
let retry: number | undefined;
let hide: number | undefined;
const listeners = new Set<() => void>();

export function useLive(): Live {
  return useSyncExternalStore(subscribe, () => live);
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) start();
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) stop();
  };
}

function start(): void {
  document.addEventListener("visibilitychange", onVisibility);
  connect();
}

function stop(): void {
  document.removeEventListener("visibilitychange", onVisibility);
  clearTimeout(hide);
  disconnect();
  live = { state: "connecting" };
}

function connect(): void {
  disconnect();
  const opened = new EventSource("/heddle/v1/stream");
  source = opened;
  opened.addEventListener("graph", (event: MessageEvent<string>) => receive(parse(event.data)));
  opened.addEventListener("open", () => become({ ...live, state: "live" }));
  opened.addEventListener("error", () => {
    become({ ...live, state: "away" });
    // The browser retries where the connection broke; it gives up where the server answered something else.
    if (opened.readyState !== EventSource.CLOSED) return;
    ask("/heddle/v1/session").catch(() => {}); // says so where the session has ended
    clearTimeout(retry);
    retry = window.setTimeout(connect, retryMs);
  });
}

function disconnect(): void {
  clearTimeout(retry);
  source?.close();
  source = undefined;
}

function onVisibility(): void {
  clearTimeout(hide);
  if (document.hidden) hide = window.setTimeout(disconnect, hiddenMs);
  else if (source === undefined) connect();
}

function receive(graph: TrafficGraph): void {
  become({ state: "live", graph: withIdle(live.graph, graph), receivedAt: Date.now() });
}

function become(next: Live): void {
  live = next;
  for (const listener of listeners) listener();
}

function parse(text: string): TrafficGraph {
  return JSON.parse(text) as TrafficGraph;
}
