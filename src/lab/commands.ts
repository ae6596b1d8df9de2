/**
 * The commands `heddle lab …`: what the words on the command line mean. What they do is in the modules they call.
 */

import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Pod, sidecarModes } from "../api/k8s/core.ts";
import { MeshError } from "../base/error.ts";
import { applyObjects, deleteObjects } from "../cli/apply.ts";
import { type Connection, connectSocket } from "../cli/connection.ts";
import { untilInForce } from "../cli/converge.ts";
import { loadManifests } from "../cli/manifests.ts";
import { ports } from "../model/names.ts";
import type { SidecarMode } from "../model/node-view.ts";
import { getText } from "./ask-socket.ts";
import { absent, askDown, lockHolder } from "./control.ts";
import type { DashboardPort } from "./dashboard-relay.ts";
import { runInPod } from "./enter.ts";
import { loadFromPod } from "./load/load.ts";
import { type LoadOptions, parseRate, parseSeconds, renderLoad } from "./load/report.ts";
import { defaultLabBase, defaultLabName, hostPaths, type LabPaths, labPaths } from "./names.ts";
import { readPodRecords } from "./pods/pod-record.ts";
import { selectPod } from "./pods/select-pod.ts";
import { agentSockets } from "./sidecar-places.ts";
import { labStatus, renderStatus } from "./status.ts";
import { sweepLab } from "./sweep.ts";
import { systemTerminal } from "./terminal.ts";
import { mostHosts } from "./underlay.ts";
import { supervise, type UpOptions, upAttached, upDetached } from "./up.ts";

/** What the commands need to know of how they were started. */
export interface LabEnvironment {
  /** Folder of the checkout or package. */
  readonly root: string;
  /** How to run this CLI again. */
  readonly heddle: readonly string[];
}

interface Named {
  readonly name: string;
}

interface UpFlags extends Named {
  readonly nodes: number;
  readonly detach?: true;
  readonly supervise?: true;
  readonly images?: string;
  readonly upstream?: string;
  readonly dashboardPort?: number;
  readonly sidecarMode?: SidecarMode;
}

interface LoadFlags extends Named {
  readonly namespace?: string;
  readonly rps: number;
  readonly for: number;
  readonly poisson?: true;
  readonly json?: true;
}

interface PodFlags extends Named {
  readonly namespace?: string;
  readonly container?: string;
}

const base = (): string => process.env["HEDDLE_LAB_DIR"] ?? defaultLabBase;
const pathsOf = ({ name }: Named): LabPaths => labPaths(name, base());
const nameOption = ["--name <name>", "which lab", defaultLabName] as const;
const { line } = systemTerminal;
const warn = (text: string): void => void process.stderr.write(`warning: ${text}\n`);

export function addLabCommands(program: Command, environment: LabEnvironment): void {
  const lab = program.command("lab").description("hosts, network, mesh and pods on this machine");

  lab
    .command("up")
    .description("bring a lab up and show its traffic until Ctrl-C (without files: the shop)")
    .argument("[files...]", "manifests, or folders of them")
    .option(...nameOption)
    .option("--nodes <number>", "how many hosts", parseHosts, 2)
    .option("--detach", "return when every pod is ready")
    .option("--images <file>", "which commands stand for images")
    .option("--upstream <addresses>", "name servers for names outside of the lab: A,B …")
    .option(
      "--dashboard-port <port>",
      `loopback port of the dashboard; 0: none (default: ${ports.dashboard} or the next free one)`,
      parsePort,
    )
    .addOption(new Option("--sidecar-mode <mode>", "of pods that do not say").choices(sidecarModes))
    .option("--supervise", "internal: be the detached lab")
    .action(async (files: string[], flags: UpFlags) => {
      requireRoot();
      const options = upOptions(files, flags, environment);
      if (flags.detach) {
        await upDetached(options, repeated(options, flags), systemTerminal);
        return;
      }
      await (flags.supervise ? supervise(options) : upAttached(options, systemTerminal));
      process.exit(); // the lab has ended, and whoever asked for that waits for this process
    });

  lab
    .command("status")
    .description("hosts, pods and traffic of a lab")
    .option(...nameOption)
    .option("--json", "for programs")
    .action(async (flags: Named & { json?: true }) => {
      const status = await withLab(flags, (connection, paths) => labStatus(paths, connection));
      line(flags.json ? JSON.stringify(status, undefined, 2) : renderStatus(status));
    });

  podCommand(lab, "exec", "run a command inside a pod").action(
    async (pod: string, words: string[], flags: PodFlags) => {
      const command = words[0] === "--" ? words.slice(1) : words;
      if (command.length === 0) throw missing("exec", "a command: heddle lab exec POD -- CMD");
      process.exitCode = await inPod(flags, pod, command);
    },
  );

  podCommand(lab, "curl", "run curl inside a pod; its options are passed on").action(
    async (pod: string, words: string[], flags: PodFlags) => {
      if (words.length === 0) throw missing("curl", "a URL: heddle lab curl POD URL");
      process.exitCode = await inPod(flags, pod, ["curl", ...words]);
    },
  );

  lab
    .command("load")
    .description("send requests from inside a pod at a steady rate, answered or not")
    .argument("<pod>", "a pod, NAMESPACE/POD, or a Deployment or app: its first ready pod")
    .argument("<url>", "what to ask for")
    .option(...nameOption)
    .option("-n, --namespace <namespace>", "the pod's namespace")
    .option("--rps <rate>", "requests per second", parseRate, 10)
    .option("--for <duration>", "how long, such as 20s or 2m", parseSeconds, 20)
    .option("--poisson", "at random moments, as independent users do; else evenly spaced")
    .option("--json", "every request's latency, for programs")
    .action(async (pod: string, url: string, flags: LoadFlags) => {
      const options = { url: httpUrl(url), ...loadOf(flags) };
      const report = await withLab(flags, async ({ client }, paths) => {
        const pods = await client.list<Pod>("Pod");
        return loadFromPod(paths, selectPod(pods.objects, pod, flags.namespace), options);
      });
      line(flags.json ? JSON.stringify(report) : renderLoad(report));
    });

  lab
    .command("apply")
    .description("create or change objects; returns when every agent and sidecar has them")
    .argument("<files...>", "manifests, or folders of them")
    .option(...nameOption)
    .action(async (files: string[], flags: Named) => {
      const objects = loadManifests(files);
      await withLab(flags, async ({ client, transport }) => {
        const version = await applyObjects(client, objects, line);
        await untilInForce(transport, version, objects, warn);
      });
    });

  lab
    .command("delete")
    .description("delete the objects that manifests name")
    .argument("<files...>", "manifests, or folders of them")
    .option(...nameOption)
    .action(async (files: string[], flags: Named) => {
      const objects = loadManifests(files);
      await withLab(flags, async ({ client, transport }) => {
        await deleteObjects(client, objects, line);
        await untilInForce(transport, undefined, objects, warn);
      });
    });

  lab
    .command("down")
    .description("end a lab, and clear what a crashed one left")
    .option(...nameOption)
    .action(async (flags: Named) => {
      requireRoot();
      await down(pathsOf(flags));
    });

  lab
    .command("list")
    .description("the labs of this machine")
    .action(async () => {
      for (const name of existsSync(base()) ? readdirSync(base()).sort() : []) {
        const holder = await lockHolder(name);
        if (holder !== undefined)
          line(`${name}  up, process ${holder.pid}, data in ${holder.root}`);
      }
    });
}

/** For commands outside `lab` that are pointed at one with `--lab NAME`. */
export const labAccess = {
  adminSocket(name: string): string {
    return pathsOf({ name }).adminSocket;
  },
  /** Sockets of the agents on the lab's hosts. */
  agentSockets(name: string): readonly string[] {
    return agentSockets(pathsOf({ name }));
  },
  /** GET of a sidecar's admin interface. */
  async askSidecar(name: string, pod: Pod, path: string): Promise<string> {
    const paths = pathsOf({ name });
    const { namespace, name: podName, uid } = pod.metadata;
    const record = readPodRecords(paths.pods).find((one) => one.uid === uid);
    const host = Number(/\d+$/.exec(record?.node ?? "")?.[0]);
    if (record === undefined || Number.isNaN(host)) {
      throw new MeshError(
        "lab.pod.absent",
        `pod ${namespace}/${podName} does not run in lab ${name}`,
      );
    }
    const socket = join(hostPaths(paths, host).run, "pods", record.containerId, "admin.sock");
    return getText(socket, path);
  },
};

function podCommand(lab: Command, name: string, description: string): Command {
  return lab
    .command(name)
    .description(description)
    .argument("<pod>", "a pod, NAMESPACE/POD, or a Deployment or app: its first ready pod")
    .argument("[words...]", "what to run")
    .option(...nameOption)
    .option("-n, --namespace <namespace>", "the pod's namespace")
    .option("-c, --container <container>", "which container")
    .passThroughOptions();
}

async function inPod(flags: PodFlags, pod: string, command: readonly string[]): Promise<number> {
  return withLab(flags, async ({ client }, paths) => {
    const pods = await client.list<Pod>("Pod");
    const found = selectPod(pods.objects, pod, flags.namespace);
    return runInPod(paths, found, flags.container, command);
  });
}

async function withLab<T>(
  flags: Named,
  use: (connection: Connection, paths: LabPaths) => Promise<T>,
): Promise<T> {
  const paths = pathsOf(flags);
  if (!(await isUpHere(paths))) throw absent(paths);
  const connection = connectSocket(paths.adminSocket, warn);
  try {
    return await use(connection, paths);
  } finally {
    connection.close();
  }
}

async function down(paths: LabPaths): Promise<void> {
  if (await askDown(paths)) {
    line(`lab "${paths.name}" is down`);
    return;
  }
  // Nobody answers: the lab was never up, or it crashed and left things behind.
  if (await isUpHere(paths)) {
    throw new MeshError(
      "lab.down",
      `lab "${paths.name}" is up and does not answer on ${paths.control}`,
    );
  }
  const swept = await sweepLab(paths);
  if (swept.namespaces.length === 0) throw absent(paths);
  line(
    `cleared what lab "${paths.name}" left: ${swept.namespaces.length} namespaces, ${swept.processes} processes`,
  );
}

/** False when no lab of the name is up; throws when it is, with its data elsewhere. */
async function isUpHere(paths: LabPaths): Promise<boolean> {
  const holder = await lockHolder(paths.name);
  if (holder === undefined || holder.root === paths.root) return holder !== undefined;
  // Where the data are is not taken from the holder: anybody could answer there.
  throw new MeshError(
    "lab.elsewhere",
    `lab "${paths.name}" has its data in ${holder.root}: set HEDDLE_LAB_DIR to the folder above it`,
    { fault: "user" },
  );
}

function upOptions(
  files: readonly string[],
  flags: UpFlags,
  environment: LabEnvironment,
): UpOptions {
  return {
    paths: pathsOf(flags),
    nodes: flags.nodes,
    files: files.length > 0 ? files : [join(environment.root, "examples", "shop")],
    ...(flags.images === undefined ? {} : { imagesFile: flags.images }),
    upstream: flags.upstream,
    dashboard: dashboardPort(flags.dashboardPort),
    ...(flags.sidecarMode === undefined ? {} : { sidecarMode: flags.sidecarMode }),
    heddle: environment.heddle,
    cni: join(environment.root, "build", "heddle-cni"),
  };
}

/** The same command line for the detached process, with paths that hold wherever it runs. */
function repeated(options: UpOptions, flags: UpFlags): string[] {
  const images = flags.images === undefined ? [] : ["--images", resolve(flags.images)];
  const files = options.files.map((file) => resolve(file));
  const upstream = flags.upstream === undefined ? [] : ["--upstream", flags.upstream];
  const port = flags.dashboardPort;
  const dashboard = port === undefined ? [] : ["--dashboard-port", String(port)];
  const mode = options.sidecarMode === undefined ? [] : ["--sidecar-mode", options.sidecarMode];
  return [
    ...["--name", flags.name, "--nodes", String(flags.nodes)],
    ...mode,
    ...images,
    ...upstream,
    ...dashboard,
    ...files,
  ];
}

function dashboardPort(port: number | undefined): DashboardPort | undefined {
  if (port === undefined) return { kind: "usual" };
  return port === 0 ? undefined : { kind: "exactly", port };
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError(`want 0..65535, got "${text}"`);
  }
  return port;
}

function parseHosts(text: string): number {
  const hosts = Number(text);
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > mostHosts) {
    throw new InvalidArgumentError(`want 1..${mostHosts}, got "${text}"`);
  }
  return hosts;
}

function loadOf(flags: LoadFlags): Omit<LoadOptions, "url"> {
  return {
    requestsPerSecond: flags.rps,
    seconds: flags.for,
    isPoisson: flags.poisson === true,
  };
}

function httpUrl(text: string): string {
  if (URL.canParse(text) && new URL(text).protocol === "http:") return text;
  throw missing("load", `an http:// URL, got "${text}"`);
}

function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new MeshError(
    "lab.root",
    `the lab makes network namespaces, which needs root: this is user id ${process.getuid?.()}`,
    { fault: "user" },
  );
}

function missing(command: string, what: string): MeshError {
  return new MeshError("cli.usage", `lab ${command}: want ${what}`, { fault: "user" });
}
