/**
 * `heddle node install` and `uninstall`: the two files by which container runtimes find Heddle, and nothing else.
 *
 * The network configuration is last: a runtime that sees it finds the executable there. Both are put in place by
 * rename, since a runtime may read one, or execute the other, at any moment. The configuration is written for version
 * 1.0.0, which every runtime in use reads, and lists the newer one for those that choose. A file of the name that is
 * not ours is left alone. The agent itself is the node's own service manager's to start.
 */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import { cniCapabilities } from "../model/names.ts";

export interface NodeFiles {
  /** Where runtimes look for network configurations. */
  readonly confDir: string;
  /** Where they look for executables. */
  readonly binDir: string;
}

export const usualFiles: NodeFiles = { confDir: "/etc/cni/net.d", binDir: "/opt/cni/bin" };

export interface InstallOptions extends NodeFiles {
  /** The executable to install. */
  readonly executable: string;
  readonly network: string;
  /** Of an agent that does not listen where the executable looks by itself. */
  readonly socket?: string;
}

const type = "heddle-cni";
/** Runtimes that take one network take the first by name: Heddle's own number is low, and a person may lower it. */
const configurationFile = "10-heddle.conflist";

/** Paths of what was written. */
export function installNode(options: InstallOptions): readonly string[] {
  const { confDir, binDir, network, socket } = options;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(network)) {
    throw new MeshError(
      "cli.node.network",
      `--network: want letters, digits, _, . and -, got "${network}"`,
      { fault: "user" },
    );
  }
  const executable = readExecutable(options.executable);
  const configuration = join(confDir, configurationFile);
  requireOurs(configuration);
  const target = join(binDir, type);
  replace(target, executable, 0o755);
  replace(configuration, renderConfiguration(network, socket), 0o644);
  return [target, configuration];
}

/** Paths of what was removed; nothing there is success. The configuration goes first: nobody is led to what is gone. */
export function uninstallNode({ confDir, binDir }: NodeFiles): readonly string[] {
  const configuration = join(confDir, configurationFile);
  if (existsSync(configuration)) requireOurs(configuration);
  const there = [configuration, join(binDir, type)].filter((path) => existsSync(path));
  for (const path of there) attempt("remove", path, () => rmSync(path));
  return there;
}

/** Other networks' configurations that a runtime would take before ours. */
export function configurationsBefore({ confDir }: NodeFiles): readonly string[] {
  return readdirSync(confDir)
    .filter((name) => /\.(conf|conflist|json)$/.test(name) && name < configurationFile)
    .sort();
}

function renderConfiguration(network: string, socket: string | undefined): string {
  const list = {
    cniVersion: "1.0.0",
    cniVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    name: network,
    plugins: [
      {
        type,
        capabilities: Object.fromEntries(cniCapabilities.map((name) => [name, true])),
        ...(socket === undefined ? {} : { heddleSocket: socket }),
      },
    ],
  };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

function readExecutable(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new MeshError(
      "cli.node.executable",
      `read the CNI executable ${path}: build it with \`npm run setup\`, or name it with --executable`,
      { cause, fault: "user" },
    );
  }
}

/** Throws where somebody else's configuration has the name. */
function requireOurs(path: string): void {
  if (!existsSync(path) || isOurs(readFileSync(path, "utf8"))) return;
  throw new MeshError(
    "cli.node.foreign",
    `replace ${path}: it is another plugin's configuration; move it away, or use another --conf-dir`,
    { fault: "user" },
  );
}

function isOurs(text: string): boolean {
  try {
    const list: unknown = JSON.parse(text);
    const plugins = isRecord(list) && Array.isArray(list["plugins"]) ? list["plugins"] : [];
    return plugins.some((plugin: unknown) => isRecord(plugin) && plugin["type"] === type);
  } catch {
    return false;
  }
}

function replace(path: string, content: string | Buffer, mode: number): void {
  attempt("write", path, () => {
    mkdirSync(join(path, ".."), { recursive: true });
    const temporary = `${path}.tmp`; // no ending that a runtime reads
    writeFileSync(temporary, content, { mode });
    renameSync(temporary, path);
  });
}

function attempt(verb: string, path: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    throw new MeshError("cli.node.write", `${verb} ${path}`, { cause, fault: "user" });
  }
}
