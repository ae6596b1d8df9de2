/**
 * How terminals reach the lab that is up: one socket in its data folder, and one abstract socket that proves it lives.
 *
 * The abstract socket is the lock of the lab's name on this machine: the kernel lets one process have it and takes it
 * away with that process, so it is never stale, and it holds wherever the data folders are. It tells where the lab's
 * data are and does nothing else, because anybody may connect to it; commands go through the socket in the data folder,
 * which only root can open. A connection asks with one line; `down` is answered by the connection's end, when all is
 * gone.
 */

import { chmodSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import type { LabPaths } from "./names.ts";

/** What the supervisor knows that no API object says. */
export interface LabProcesses {
  readonly supervisor: number;
  readonly server: HostProcess;
  readonly nodes: readonly (HostProcess & { readonly name: string })[];
  /** Port of the dashboard on loopback; undefined where it is off. */
  readonly dashboardPort?: number;
}

export interface HostProcess {
  readonly netns: string;
  readonly address: string;
  /** Undefined while it is being started again. */
  readonly pid?: number;
  readonly restarts: number;
}

export interface ControlHandlers {
  /** Begins the lab's end. Connections stay open until the process is done. */
  down(): void;
  processes(): LabProcesses;
}

const lockName = (lab: string) => `\0heddle-lab-${lab}`;

/** Takes the lab's name; throws `lab.running` with what to do when somebody else has it. Released by `close`. */
export async function lockLab(paths: LabPaths): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(`${JSON.stringify({ root: paths.root, pid: process.pid })}\n`);
  });
  try {
    await listen(server, lockName(paths.name));
  } catch (cause) {
    const holder = await lockHolder(paths.name);
    if (holder === undefined) {
      throw new MeshError("lab.lock", `take the name of lab "${paths.name}"`, { cause });
    }
    const name = paths.name === "lab" ? "" : ` --name ${paths.name}`;
    throw new MeshError(
      "lab.running",
      `a lab named "${paths.name}" is already up (process ${holder.pid}, data in ${holder.root}): look at it with "heddle lab status${name}", stop it with "heddle lab down${name}", or start another beside it with "heddle lab up --name NAME"`,
      { fault: "user" },
    );
  }
  return server;
}

/** Who has the lab up, and where its data are; undefined when nobody has. */
export async function lockHolder(
  lab: string,
): Promise<{ readonly root: string; readonly pid: number } | undefined> {
  const text = await askSocket(lockName(lab), "").catch(() => undefined);
  const holder: unknown = text === undefined || text === "" ? undefined : JSON.parse(text);
  if (!isRecord(holder)) return undefined;
  return { root: String(holder["root"]), pid: Number(holder["pid"]) };
}

/**
 * Serves commands on the socket in the data folder. The returned function stops serving and leaves open connections to
 * the end of the process: who asked for `down` is to hear of the end when the process is gone, too.
 */
export async function serveControl(
  paths: LabPaths,
  handlers: ControlHandlers,
): Promise<() => void> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    socket.on("error", () => {});
    socket.once("data", (line) => {
      switch (line.toString().trim()) {
        case "processes":
          socket.end(`${JSON.stringify(handlers.processes())}\n`);
          break;
        case "down":
          handlers.down();
          break;
        default:
          socket.end();
      }
    });
  });
  await listen(server, paths.control);
  chmodSync(paths.control, 0o600);
  return () => {
    server.close();
    for (const socket of open) socket.unref();
  };
}

/** The lab's processes; throws `lab.absent` when it is not up. */
export async function labProcesses(paths: LabPaths): Promise<LabProcesses> {
  const text = await askSocket(paths.control, "processes\n").catch((cause) => {
    throw absent(paths, cause);
  });
  return JSON.parse(text) as LabProcesses;
}

/** Asks the lab to go down; resolves when it is gone. False when it was not up. */
export async function askDown(paths: LabPaths): Promise<boolean> {
  return askSocket(paths.control, "down\n").then(
    () => true,
    () => false,
  );
}

/** The error for commands that need a lab that is up. */
export function absent(paths: LabPaths, cause?: unknown): MeshError {
  const name = paths.name === "lab" ? "" : ` --name ${paths.name}`;
  return new MeshError(
    "lab.absent",
    `no lab named "${paths.name}" is up (looked in ${paths.root}): start it with "heddle lab up${name}"`,
    { fault: "user", ...(cause === undefined ? {} : { cause }) },
  );
}

function askSocket(path: string, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = "";
    socket.once("error", reject);
    socket.once("connect", () => socket.write(question));
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.once("end", () => {
      socket.end();
      resolve(text);
    });
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve());
  });
}
