/**
 * `heddle agent`: the agent with its real parts, from the command line's words.
 *
 * Runs in the network namespace of the machine, as root, until the signal; the kernel driver belongs to the namespace
 * that the process is in when it starts.
 */

import { mkdirSync, statSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join, resolve } from "node:path";
import { sidecarModes } from "../api/k8s/core.ts";
import { kindNamed, restPath } from "../api/kinds.ts";
import type { Clock } from "../base/clock.ts";
import { MeshError, renderError } from "../base/error.ts";
import { canonicalIp, familyOf, isIp } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import { dropLogGroup } from "../core/dataplane/names.ts";
import { type DropLog, openDropLog } from "../kernel/drop-log.ts";
import { openKernelDriver } from "../kernel/netlink-driver.ts";
import type { NoWireguardKey, WireguardOptions } from "../kernel/wireguard.ts";
import { nameServers, proxyUid, trustDomain } from "../model/names.ts";
import type { SidecarMode } from "../model/node-view.ts";
import { apiError } from "../rpc/api-error.ts";
import { httpObjectClient } from "../rpc/http-object-client.ts";
import { type HttpTransport, httpTransport } from "../rpc/http-transport.ts";
import { watchNodeView } from "../rpc/node-view-source.ts";
import type { PathOf } from "../rpc/object-client.ts";
import { parseReportAnswer } from "../wire/observation/parse-tap.ts";
import { type Bootstrap, readBootstrap } from "./bootstrap.ts";
import type { ViewSource } from "./deps.ts";
import { parseServers } from "./dns/upstream.ts";
import { runAgent } from "./main.ts";
import type { SendReport } from "./observe/reporter.ts";
import type { AgentOptions } from "./options.ts";
import { usualRoots } from "./runtimes/containers.ts";
import { sidecarNodeOptions } from "./sidecars/node-options.ts";
import { serverUpstream } from "./sidecars/server-upstream.ts";
import { keyOrNone } from "./state/wireguard-key.ts";

/** As given on the command line. */
export interface AgentFlags {
  /** Path of the bootstrap document. */
  readonly bootstrap: string;
  readonly node: string;
  readonly address: string;
  readonly runDir: string;
  readonly stateDir: string;
  /** Name servers for names outside the cluster, with commas between them. */
  readonly upstream?: string;
  readonly spares?: string;
  readonly sidecarMode?: string;
  readonly sidecarWorkers?: string;
  readonly podmanRoot?: string;
  readonly containerdRoot?: string;
  /** False: all packets take the plain path through routing and netfilter. */
  readonly fastPath?: boolean;
  /** Where the kernel has no WireGuard, `wireguard-go` may take its place. */
  readonly userspaceWireguard?: boolean;
}

export interface AgentProcess {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How to start Heddle again, e.g. `[node, src/main.ts]`. */
  readonly heddle: readonly string[];
  /** Version of this Heddle. */
  readonly release: string;
}

const defaultSpares = 1;
const defaultSidecarMode: SidecarMode = "dedicated";
/** More cost memory; on more cores than this a node has enough pods to ask for another number. */
const mostWorkersByDefault = 4;
const dnsPort = 53;

export async function runAgentCommand(
  flags: AgentFlags,
  process: AgentProcess,
  signal: AbortSignal,
): Promise<void> {
  const log = process.log.with({ node: flags.node });
  const key = keyOrNone(flags.stateDir, log);
  const options = {
    ...agentOptions(flags, process),
    ...("missing" in key ? {} : { wireguardKey: key.publicKey }),
  };
  requireReachable(options.runDir);
  const bootstrap = readBootstrap(flags.bootstrap, flags.node);
  const { clock, random } = process;
  const wireguard: WireguardOptions | NoWireguardKey = {
    ...key,
    ...(flags.userspaceWireguard === true
      ? { userspaceFolder: join(flags.runDir, "wireguard") }
      : {}),
  };
  const driver = openKernelDriver({ fastPath: flags.fastPath ?? true, wireguard });
  const dropLog = openDropLogOrNone(log);
  const transport = httpTransport({
    kind: "https",
    url: bootstrap.api,
    token: bootstrap.token,
    roots: bootstrap.roots,
  });
  const mesh = serverUpstream(bootstrap, log);
  try {
    const objects = httpObjectClient({
      transport,
      pathOf,
      clock,
      random,
      fieldManager: "heddle-agent",
      fieldValidation: "Warn",
    });
    const views = viewSource(bootstrap, flags.node, process);
    const reporter = { send: reportSender(transport), dropLog };
    const deps = { clock, random, log, driver, objects, views, mesh, reporter };
    await runAgent(options, deps, signal);
  } finally {
    mesh.close();
    transport.close();
    dropLog.close();
    driver.close();
  }
}

/** Sidecars run as a user of their own and must reach their sockets: every folder on the way lets them pass. */
function requireReachable(runDir: string): void {
  mkdirSync(runDir, { recursive: true, mode: 0o755 });
  for (let folder = resolve(runDir); ; folder = dirname(folder)) {
    const mode = statSync(folder).mode & 0o777;
    if ((mode & 0o001) === 0) {
      throw new MeshError(
        "agent.run-dir.closed",
        `use run folder ${runDir}: sidecars (user ${proxyUid}) cannot pass ${folder}, its mode is ${mode.toString(8)}; want at least o+x`,
        { fault: "user" },
      );
    }
    if (folder === dirname(folder)) return;
  }
}

function agentOptions(flags: AgentFlags, { heddle, release }: AgentProcess): AgentOptions {
  const addresses = flags.address.split(",");
  const families = new Set(addresses.filter(isIp).map(familyOf));
  if (!addresses.every(isIp) || families.size !== addresses.length) {
    throw wrong("address", flags.address, "an address, or one of each family with a comma between");
  }
  const spares = flags.spares === undefined ? defaultSpares : Number(flags.spares);
  if (!Number.isInteger(spares) || spares < 0 || spares > 64) {
    throw wrong("spares", flags.spares ?? "", "a number from 0 to 64");
  }
  const mode = sidecarModes.find((each) => each === (flags.sidecarMode ?? defaultSidecarMode));
  if (mode === undefined) {
    throw wrong("sidecar-mode", flags.sidecarMode ?? "", `one of ${sidecarModes.join(", ")}`);
  }
  const workers = Number(flags.sidecarWorkers ?? Math.min(cpus().length, mostWorkersByDefault));
  if (!Number.isInteger(workers) || workers < 1 || workers > 64) {
    throw wrong("sidecar-workers", flags.sidecarWorkers ?? "", "a number from 1 to 64");
  }
  return {
    node: flags.node,
    addresses: addresses.map(canonicalIp),
    runDir: flags.runDir,
    stateDir: flags.stateDir,
    trustDomain,
    sidecarCommand: sidecarCommand(heddle),
    spareSidecars: spares,
    sidecarMode: mode,
    sidecarWorkers: workers,
    sidecarPatienceMs: 20_000, // a hundred times the slowest answer seen under overload (test/netns/overload.test.ts)
    release,
    nameServerCommand: nameServerCommand(heddle, flags.upstream),
    runtimeRoots: {
      podman: flags.podmanRoot ?? usualRoots.podman,
      containerd: flags.containerdRoot ?? usualRoots.containerd,
    },
  };
}

function sidecarCommand([node = "", ...entry]: readonly string[]): readonly string[] {
  return [node, ...sidecarNodeOptions, ...entry, "proxy", "--assignment-fd", "3"];
}

function nameServerCommand(
  heddle: readonly string[],
  upstreams: string | undefined,
): readonly string[] {
  // A wrong one is told here, where somebody reads it.
  if (upstreams !== undefined) parseServers(upstreams);
  const where = ["--address", Object.values(nameServers).join(), "--port", String(dnsPort)];
  return [...heddle, "names", ...where, ...(upstreams ? ["--upstream", upstreams] : [])];
}

function viewSource(bootstrap: Bootstrap, node: string, process: AgentProcess): ViewSource {
  const { clock, random, log } = process;
  const { xds: target, roots } = bootstrap;
  const token = bootstrap.token.reveal();
  return {
    snapshots: (signal) =>
      watchNodeView({ target, token, roots, node, clock, random, log }, signal),
  };
}

/** Without it the node works all the same; only nobody hears what it refuses. */
function openDropLogOrNone(log: Log): DropLog {
  try {
    return openDropLog(dropLogGroup);
  } catch (error) {
    log.warn("refused packets are not reported", { error: renderError(error) });
    return { read: () => [], close: () => undefined };
  }
}

function reportSender(transport: HttpTransport): SendReport {
  return async (report, signal) => {
    const request = { method: "POST", path: "/heddle/v1/report", body: report, signal };
    const answer = await transport.send(request);
    if (answer.code !== 200) throw apiError(answer);
    return parseReportAnswer(answer.body);
  };
}

const pathOf: PathOf = (kind, namespace, name) => {
  const known = kindNamed(kind);
  if (known === undefined) throw new MeshError("agent.kind.unknown", `unknown kind "${kind}"`);
  return restPath(known, namespace, name);
};

function wrong(flag: string, value: string, wanted: string): MeshError {
  return new MeshError("agent.option", `--${flag}: want ${wanted}, got "${value}"`, {
    fault: "user",
  });
}
