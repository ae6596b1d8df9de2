/** go-control-plane's snapshot cache and server (`../go-control-plane/main.go`), in a process of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { any, type Message, types } from "./messages.ts";

export const program: string = join(import.meta.dirname, "../../../build/tools/go-control-plane");

/** What a client said, or was sent; types by their short names. */
export interface Event {
  readonly kind: "request" | "response";
  readonly type: string;
  readonly nonce?: string;
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  /** Names of `initial_resource_versions`. */
  readonly known?: readonly string[];
  readonly error?: string;
  readonly sent?: readonly string[];
  readonly removed?: readonly string[];
}

export type Snapshot = Partial<Readonly<Record<keyof typeof types, readonly Message[]>>>;

export class GoControlPlane implements AsyncDisposable {
  /** In the order in which the server saw them. */
  readonly events: Event[] = [];
  readonly #socket: string;
  readonly #node: string;
  #process: ChildProcess | undefined;
  #versions = 0;
  #wake: () => void = () => {};
  #fail: (error: Error) => void = () => {};

  /** For one client: who calls itself `node`. */
  constructor(socket: string, node: string) {
    this.#socket = socket;
    this.#node = node;
  }

  start(): void {
    const child = spawn(program, [this.#socket], { stdio: ["pipe", "pipe", "inherit"] });
    this.#process = child;
    child.once("exit", (code) => {
      if (this.#process === child)
        this.#fail(new Error(`go-control-plane ended by itself: ${code}`));
    });
    createInterface(child.stdout).on("line", (line) => {
      const event = JSON.parse(line) as Event;
      this.events.push({ ...event, type: event.type.slice(event.type.lastIndexOf(".") + 1) });
      this.#wake();
    });
  }

  /** Kills it; what it had in its cache is gone. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await once(child, "close");
    rmSync(this.#socket, { force: true });
  }

  /** These resources, and no others. */
  set(snapshot: Snapshot): void {
    const resources = Object.entries(snapshot).flatMap(([type, messages]) =>
      messages.map((message) => any(types[type as keyof Snapshot], message)),
    );
    const said = { node: this.#node, version: `${++this.#versions}`, resources };
    this.#process?.stdin?.write(`${JSON.stringify(said)}\n`);
  }

  /** Resolves with the first of the events that is like this. */
  async seen(isWanted: (event: Event) => boolean): Promise<Event> {
    for (;;) {
      const found = this.events.find(isWanted);
      if (found !== undefined) return found;
      await this.#nextEvent();
    }
  }

  /** Waits until so much was sent, and forgets it: `TYPE name`, and `TYPE -name` for what was called gone. */
  async sent(count: number): Promise<readonly string[]> {
    for (;;) {
      const sent = this.events.flatMap(({ type, sent: names = [], removed = [] }) => [
        ...names.map((name) => `${type} ${name}`),
        ...removed.map((name) => `${type} -${name}`),
      ]);
      if (sent.length >= count) {
        this.events.length = 0;
        return sent.sort();
      }
      await this.#nextEvent();
    }
  }

  #nextEvent(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wake = resolve;
      this.#fail = reject; // whoever waits would wait in vain
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
