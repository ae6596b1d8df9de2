/**
 * `lab up`: from files to a lab whose pods are all ready, and back to nothing.
 *
 * Attached, the lab lives in this process: the table is shown until Ctrl-C, a hang-up or `lab down`. Detached, the same
 * process is started again without a terminal (`--supervise`); it sends its progress here until it is ready, and is on
 * its own from then on. Files and names are checked before anything is made.
 */

import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { MeshError, renderError } from "../base/error.ts";
import { createLog, type Log } from "../base/log.ts";
import { applyObjects } from "../cli/apply.ts";
import { connectSocket } from "../cli/connection.ts";
import { loadManifests } from "../cli/manifests.ts";
import { showTop } from "../cli/top/top.ts";
import type { SidecarMode } from "../model/node-view.ts";
import type { DashboardPort } from "./dashboard-relay.ts";
import { type Lab, startLab } from "./lab.ts";
import type { LabPaths } from "./names.ts";
import { builtInImages, type ImageRule, parseImageMap } from "./pods/image-map.ts";
import { type Progress, untilReady } from "./readiness-wait.ts";
import type { Terminal } from "./terminal.ts";

export interface UpOptions {
  readonly paths: LabPaths;
  readonly nodes: number;
  readonly files: readonly string[];
  readonly imagesFile?: string;
  readonly upstream: string | undefined;
  readonly dashboard: DashboardPort | undefined;
  /** Of pods that do not say; undefined: the agent's usual one. */
  readonly sidecarMode?: SidecarMode;
  readonly heddle: readonly string[];
  readonly cni: string;
}

/** What a detached lab tells the terminal that started it. */
type Message =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "ready" }
  /** `isUp`: it goes on in spite of the error, and can be looked at. */
  | { readonly kind: "failed"; readonly error: string; readonly isUp: boolean };

const readyMs = 60_000;

/** Runs the lab in this process until it is told to end. */
export async function upAttached(options: UpOptions, terminal: Terminal): Promise<void> {
  const inputs = readInputs(options);
  const ending = endingSignal();
  const seconds = stopwatch();
  const report = (text: string) => terminal.line(`${seconds()}  ${text}`);
  let lab: Lab | undefined;
  try {
    lab = await bringUp(options, inputs, report, ending);
    try {
      await becomeReady(lab, report, ending.signal);
    } catch (error) {
      // What came up can be looked at: that is what a lab is for.
      ending.signal.throwIfAborted();
      terminal.line(`warning: ${renderError(error)}`);
    }
    const { name } = options.paths;
    const footer = `lab "${name}": Ctrl-C ends it; elsewhere: heddle lab status|curl|exec|apply|down${name === "lab" ? "" : ` --name ${name}`}`;
    await showEdges(options.paths, footer, terminal, ending.signal);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    terminal.line("going down");
    await lab?.close();
  }
  terminal.line("gone: nothing is left");
}

async function showEdges(
  paths: LabPaths,
  footer: string,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const connection = connectSocket(paths.adminSocket, () => undefined);
  try {
    await showTop(connection.transport, "edges", { seconds: 5 }, { terminal, footer, signal });
  } finally {
    connection.close();
  }
}

/** Starts the lab in a process of its own; resolves when every pod is ready. */
export async function upDetached(
  options: UpOptions,
  arguments_: readonly string[],
  terminal: Terminal,
): Promise<void> {
  readInputs(options); // wrong input is told here, by the process that has the terminal
  const [interpreter = "", ...prefix] = options.heddle;
  const child = spawn(interpreter, [...prefix, "lab", "up", "--supervise", ...arguments_], {
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    detached: true,
  });
  const seconds = stopwatch();
  const ready = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      const message = `the lab ended while it was starting (exit code ${code})`;
      reject(new MeshError("lab.start", `${message}; see ${join(options.paths.logs, "lab.log")}`));
    });
    child.on("message", (message: Message) => {
      switch (message.kind) {
        case "line":
          terminal.line(`${seconds()}  ${message.text}`);
          break;
        case "ready":
          resolve();
          break;
        case "failed":
          reject(new MeshError("lab.start", message.error));
      }
    });
  });
  try {
    await ready;
  } finally {
    // A lab whose pods cannot run stays up to be looked at: this process must not wait for it.
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** The detached lab: reports over its channel, then lives until it is told to end. */
export async function supervise(options: UpOptions): Promise<void> {
  const tell = (message: Message) => {
    if (process.connected) process.send?.(message, () => {}); // the terminal may have gone: no matter
  };
  const ending = endingSignal();
  let lab: Lab | undefined;
  try {
    const inputs = readInputs(options);
    lab = await bringUp(options, inputs, (text) => tell({ kind: "line", text }), ending);
    await becomeReady(lab, (text) => tell({ kind: "line", text }), ending.signal);
    tell({ kind: "ready" });
  } catch (error) {
    const name = options.paths.name === "lab" ? "" : ` --name ${options.paths.name}`;
    const hint = `; the lab is still up: "heddle lab status${name}" shows it, "heddle lab down${name}" ends it`;
    const isUp = lab !== undefined && !ending.signal.aborted;
    tell({ kind: "failed", error: `${renderError(error)}${isUp ? hint : ""}`, isUp });
    if (!isUp) {
      await lab?.close();
      return;
    }
  }
  await ending.ended;
  await lab?.close();
}

interface Inputs {
  readonly objects: ReturnType<typeof loadManifests>;
  readonly images: readonly ImageRule[];
}

function readInputs(options: UpOptions): Inputs {
  const file = options.imagesFile;
  const own = file === undefined ? [] : parseImageMap(readFileSync(file, "utf8"), file);
  return { objects: loadManifests(options.files), images: [...own, ...builtInImages] };
}

async function bringUp(
  options: UpOptions,
  inputs: Inputs,
  report: (text: string) => void,
  ending: Ending,
): Promise<Lab> {
  const { paths, nodes, upstream, dashboard, sidecarMode, heddle, cni } = options;
  const log = fileLog(join(paths.logs, "lab.log"));
  const { images } = inputs;
  const spec = {
    ...{ paths, nodes, upstream, dashboard, heddle, cni, images, log, report },
    ...(sidecarMode === undefined ? {} : { sidecarMode }),
  };
  const lab = await startLab(spec, ending.end, ending.signal);
  try {
    await applyObjects(lab.connection.client, inputs.objects, (line) => log.info(line));
    report(`${inputs.objects.length} objects applied`);
  } catch (error) {
    await lab.close();
    throw error;
  }
  return lab;
}

async function becomeReady(
  lab: Lab,
  report: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const said = new Set<string>();
  const say = (line: string) => {
    if (!said.has(line)) report(line);
    said.add(line);
  };
  const progress = ({ ready, wanted, problems }: Progress) => {
    say(`${ready} of ${wanted} pods ready`);
    for (const problem of problems) say(`waiting: ${problem}`);
  };
  await untilReady(lab.connection.client, readyMs, progress, signal);
}

/** The file is opened for each line: the folder is made anew when a lab starts. Events are few. */
function fileLog(file: string): Log {
  const write = (line: string) => {
    try {
      const fd = openSync(file, "a");
      writeSync(fd, `${line}\n`);
      closeSync(fd);
    } catch {
      // A full disk must not end the lab, and one that has ended has no folder any more.
    }
  };
  return createLog(write, Date.now, "info");
}

interface Ending {
  readonly signal: AbortSignal;
  readonly ended: Promise<void>;
  end(): void;
}

/** Ctrl-C, a hang-up, `kill`, and `lab down` all end a lab in the same way; a second Ctrl-C changes nothing. */
function endingSignal(): Ending {
  const controller = new AbortController();
  const end = () => controller.abort(new MeshError("lab.ended", "the lab was told to end"));
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, end);
  const ended = new Promise<void>((resolve) => {
    controller.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  return { signal: controller.signal, ended, end };
}

function stopwatch(): () => string {
  const start = performance.now();
  return () => `${((performance.now() - start) / 1000).toFixed(2).padStart(6)} s`;
}
