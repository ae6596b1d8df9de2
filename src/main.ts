#!/usr/bin/env node
/**
 * The composition root: picks the process that the first word names, and hands it the real parts.
 *
 * It is the one file that may import everything, and it imports lazily: a sidecar loads the proxy and nothing else,
 * and what was compiled once is kept on disk, so that a spare sidecar is up quickly. Wiring only; no decisions.
 */

import { appendFileSync, fstatSync, readFileSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";
import type { Command } from "commander";
import type { AgentFlags } from "./agent/command.ts";
import { renderError } from "./base/error.ts";
import { createLog, type Log, type LogLevel, type LogThreshold } from "./base/log.ts";

const root = join(import.meta.dirname, "..");
/** How to start this program again. */
const heddle = [process.execPath, join(import.meta.dirname, "main.ts")];

const compileCache = process.env["NODE_COMPILE_CACHE"] ?? join(root, "build", "cache");
enableCompileCache(compileCache);
/** In the environment of a process that has started anew once, and does not do so again. */
const startedAnew = "HEDDLE_STARTED_ANEW";

process.stdout.on("error", endWithReader);

try {
  // The sidecar goes without the command line's parser: a pod may be waiting for it.
  if (process.argv[2] === "proxy") await runProxyProcess(process.argv.slice(3));
  else if (process.argv[2] === "names") await runNamesProcess(process.argv.slice(3));
  else await runCommandLine();
} catch (error) {
  process.stderr.write(`error: ${renderError(error)}\n`);
  process.exitCode = 1;
}

async function runProxyProcess(words: readonly string[]): Promise<void> {
  const { parseArgs } = await import("node:util");
  const { values } = parseArgs({
    args: [...words],
    options: { "assignment-fd": { type: "string" }, gateway: { type: "boolean" } },
  });
  if (values.gateway === true) return runGatewayProcess();
  const threshold = logThreshold();
  const [
    { runProxy },
    { createXdsSource },
    { enterNetns, leaveNetwork },
    { becomeVisitor, dropPrivileges },
    { socketsByNetns },
    { descriptorsOf },
    { originalDestination },
    { isHungUp },
    { writeSysctl },
    { spareMemoryGiver },
    { startAnew },
    { systemClock },
    { LineBuffers },
    log,
  ] = await Promise.all([
    import("./proxy/main.ts"),
    import("./proxy/config/xds-source.ts"),
    import("./kernel/netns.ts"),
    import("./kernel/privileges.ts"),
    import("./kernel/pod-sockets.ts"),
    import("./kernel/descriptors.ts"),
    import("./kernel/original-destination.ts"),
    import("./kernel/tcp-state.ts"),
    import("./kernel/sysctl.ts"),
    import("./kernel/spare-memory.ts"),
    import("./kernel/start-anew.ts"),
    import("./cli/system-clock.ts"),
    import("./proxy/observe/line-buffer.ts"),
    processLog(threshold),
  ]);
  // A sidecar is ended by a signal and runs as a user who may not write here: keep now what was compiled.
  flushCompileCache();
  const assignmentFd = Number(values["assignment-fd"] ?? 3);
  if (holdsCompiler()) startAnew([assignmentFd], { [startedAnew]: "1" });
  const shared = { clock: systemClock, random: Math.random, log };
  const accessLogs = new LineBuffers();
  process.on("exit", () => accessLogs.flush());
  await runProxy({
    ...shared,
    logThreshold: threshold,
    assignmentFd,
    enterNetns,
    dropPrivileges,
    descriptorsOf,
    accessLog: accessLogs.to((text) => writeOrLose(2, text)),
    visitor: {
      leaveNetwork,
      becomeVisitor,
      socketsByNetns,
      openLog: (path) => ({
        ...openFileLog(path),
        accessLog: accessLogs.to((text) => writeOrLose(path, text)),
      }),
    },
    openLowPorts: () => writeSysctl({ key: "net.ipv4.ip_unprivileged_port_start", value: "0" }),
    originalDestination,
    isHungUp,
    meshTls: process.env["HEDDLE_MESH_TLS"] === "node" ? "node" : "openssl",
    giveBack: spareMemoryGiver(),
    source: ({ proxy, xdsSocket }) =>
      createXdsSource({ ...shared, node: proxy, socket: xdsSocket }),
  });
  process.exit(); // nothing is left to do, whatever still holds the event loop
}

/**
 * Whether this process has compiled TypeScript, as the first ones after each change of the program do. It would hold the
 * compiler, and what that has made, for as long as it lives: 20 MB. What it compiled is on disk now.
 */
function holdsCompiler(): boolean {
  if (process.env[startedAnew] !== undefined) return false;
  const { moduleLoadList = [] } = process as { readonly moduleLoadList?: readonly string[] };
  return moduleLoadList.some((name) => name.includes("internal/deps/amaro"));
}

async function runGatewayProcess(): Promise<void> {
  const [{ runGatewayContainer }, { systemClock }, log] = await Promise.all([
    import("./proxy/gateway-container.ts"),
    import("./cli/system-clock.ts"),
    processLog(),
  ]);
  await runGatewayContainer({ clock: systemClock, log }, endOfProcess());
  process.exit(); // the clients' sockets are no reason to stay
}

async function runNamesProcess(words: readonly string[]): Promise<void> {
  const { parseArgs } = await import("node:util");
  const text = { type: "string", default: "" } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      ...{ address: text, port: text, control: text, tag: text, upstream: text },
      predecessor: text,
    },
  });
  const [{ runNames }, { parseServers }, { systemClock }, log] = await Promise.all([
    import("./agent/dns/main.ts"),
    import("./agent/dns/upstream.ts"),
    import("./cli/system-clock.ts"),
    processLog(),
  ]);
  flushCompileCache();
  const { address, port, control, tag, upstream, predecessor } = values;
  const upstreams = upstream === "" ? [] : parseServers(upstream);
  const replaces = predecessor === "" ? {} : { predecessor: Number(predecessor) };
  // Only a replacement takes the time to load the FFI.
  const shareSockets =
    predecessor === "" ? () => ({}) : (await import("./kernel/shared-sockets.ts")).shareSockets;
  await runNames(
    {
      ...{ addresses: address.split(","), port: Number(port), control, tag, upstreams },
      ...replaces,
    },
    { clock: systemClock, random: Math.random, log, shareSockets },
    endOfProcess(),
  );
  process.exit(); // nothing is left to do, whatever still holds the event loop
}

async function runCommandLine(): Promise<void> {
  const { Command } = await import("commander");
  const { addObjectCommands } = await import("./cli/object-commands.ts");
  const { addNodeCommands } = await import("./cli/node-commands.ts");
  const { addLabCommands, labAccess } = await import("./lab/commands.ts");
  const program = new Command("heddle")
    .description("a container network and a service mesh in one system")
    .enablePositionalOptions()
    .showHelpAfterError("(see heddle --help)");
  addProcessCommands(program);
  addLabCommands(program, { root, heddle });
  addObjectCommands(program, labAccess);
  addNodeCommands(program, root, labAccess);
  await program.parseAsync();
}

function addProcessCommands(program: Command): void {
  program
    .command("server")
    .description("the control plane: API, controllers, certificate authority, configuration")
    .requiredOption("--data <folder>", "where it keeps its state")
    .requiredOption("--listen <address>", "address that agents reach it at")
    .action(async (flags: { data: string; listen: string }) => {
      const [{ runServer }, { startXdsServer }, { systemClock }] = await Promise.all([
        import("./server/main.ts"),
        import("./server/xds/main.ts"),
        import("./cli/system-clock.ts"),
      ]);
      const log = processLog();
      await runServer(
        {
          dataDir: flags.data,
          listen: { host: flags.listen },
          dashboardDir: join(root, "build", "dashboard"),
        },
        { clock: systemClock, random: Math.random, log, startXdsServer },
        endOfProcess(),
      );
    });
  program
    .command("agent")
    .description("the node's part: attaches pods, keeps kernel and sidecars as they should be")
    .requiredOption("--bootstrap <file>", "the document that the server gave for this node")
    .requiredOption("--node <name>", "name of the node")
    .requiredOption("--address <address>", "the node's address on the underlay")
    .requiredOption("--run-dir <folder>", "sockets, and what lives as long as the boot")
    .requiredOption("--state-dir <folder>", "what must survive the agent")
    .option("--upstream <addresses>", "name servers for names outside the cluster: A,B …")
    .option("--spares <number>", "sidecars kept ready for the next pod")
    .option(
      "--userspace-wireguard",
      "let wireguard-go encrypt between nodes where the kernel has no WireGuard",
    )
    .option("--no-fast-path", "have packets of established connections pass netfilter, too")
    .option(
      "--sidecar-mode <mode>",
      "of pods that do not say: dedicated (a process each) or shared",
    )
    .option("--sidecar-workers <number>", "processes that pods share in mode shared")
    .option("--podman-root <folder>", "Podman's storage, where containers' labels are read")
    .option("--containerd-root <folder>", "containerd's state, where containers' labels are read")
    .action(async (flags: AgentFlags) => {
      // Inherited by what the agent starts: this very file is compiled before a process can ask for the cache itself,
      // and the compiler of TypeScript is a fifth of what a sidecar holds in memory.
      process.env["NODE_COMPILE_CACHE"] = compileCache;
      const [{ runAgentCommand }, { systemClock }] = await Promise.all([
        import("./agent/command.ts"),
        import("./cli/system-clock.ts"),
      ]);
      const log = processLog();
      const parts = { clock: systemClock, random: Math.random, log, heddle, release: release() };
      await runAgentCommand(flags, parts, endOfProcess());
    });
  program
    .command("proxy")
    .description(
      "the sidecar of one pod, started by the agent; with --gateway, what a gateway's container runs",
    )
    .option("--gateway", "watch over the pod's gateway, and drain it in the end");
  program.command("names").description("the name server of one node; started by the agent");
}

function release(): string {
  const manifest: { readonly version: string } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  );
  return manifest.version;
}

function processLog(threshold = logThreshold()): Log {
  const stderr = 2;
  const isFile = fstatSync(stderr).isFile();
  const write = isFile
    ? (line: string) => writeOrLose(stderr, `${line}\n`)
    : (line: string) => void process.stderr.write(`${line}\n`);
  return createLog(write, Date.now, threshold);
}

/** For a pod that shares its process with others. */
function openFileLog(path: string): { readonly log: Log; readonly threshold: LogThreshold } {
  const threshold = logThreshold();
  return {
    log: createLog((line) => writeOrLose(path, `${line}\n`), Date.now, threshold),
    threshold,
  };
}

/** A full disk must end nobody; Node's own streams of files throw there, and write nothing more when there is room. */
function writeOrLose(file: string | number, text: string): void {
  try {
    appendFileSync(file, text, { mode: 0o600 });
  } catch {
    // Events are few, and told nowhere else.
  }
}

function logThreshold(): LogThreshold {
  return { least: (process.env["HEDDLE_LOG_LEVEL"] ?? "info") as LogLevel };
}

/** Nobody reads on (`heddle … | head`): end, in good order where there is something to put in order, as a lab has. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  if (process.listenerCount("SIGHUP") > 0) process.kill(process.pid, "SIGHUP");
  else process.exit(141); // 128 + SIGPIPE, as other programs end
}

/** SIGTERM and SIGINT ask the process to end in good order. */
function endOfProcess(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.once(name, () => controller.abort(new Error(name)));
  }
  return controller.signal;
}
