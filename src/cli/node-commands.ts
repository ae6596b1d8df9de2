/** `heddle node …`: words of the command line to what node-install.ts does, and what it says. */

import { join } from "node:path";
import type { Command } from "commander";
import {
  configurationsBefore,
  installNode,
  type NodeFiles,
  uninstallNode,
  usualFiles,
} from "./node-install.ts";
import type { LabAccess } from "./object-commands.ts";
import { upgradeSidecars } from "./upgrade-sidecars.ts";

interface InstallFlags extends NodeFiles {
  readonly executable: string;
  readonly network: string;
  readonly socket?: string;
}

const usualAgent = "/run/heddle/agent.sock";

/** `root` is the folder of this program, where the executable was built. */
export function addNodeCommands(
  program: Command,
  root: string,
  labs: Pick<LabAccess, "agentSockets">,
): void {
  const node = program.command("node").description("what container runtimes on this machine see");
  const withFiles = (command: Command): Command =>
    command
      .option("--conf-dir <folder>", "where they look for networks", usualFiles.confDir)
      .option("--bin-dir <folder>", "where they look for executables", usualFiles.binDir);

  withFiles(node.command("install"))
    .description("write the network configuration and the CNI executable")
    .option("--network <name>", "name of the network", "heddle")
    .option("--executable <file>", "the CNI executable", join(root, "build/heddle-cni"))
    .option("--socket <path>", "the agent's socket, where it is not /run/heddle/cni.sock")
    .action((flags: InstallFlags) => {
      for (const path of installNode(flags)) process.stdout.write(`${path} written\n`);
      for (const name of configurationsBefore(flags)) {
        process.stderr.write(
          `note: runtimes that take one network take ${name} before Heddle's: move it away\n`,
        );
      }
    });

  node
    .command("upgrade-sidecars")
    .description("have new processes take over from all sidecars of this node; no request fails")
    .option("--agent <socket...>", "agents to ask (default: /run/heddle/agent.sock)")
    .option("--lab <name>", "the agents of a lab")
    .action(async (flags: { agent?: readonly string[]; lab?: string }) => {
      const ofLab = flags.lab === undefined ? [usualAgent] : labs.agentSockets(flags.lab);
      for (const agent of flags.agent ?? ofLab) {
        await upgradeSidecars(agent);
        process.stdout.write(`${agent}: sidecars upgraded\n`);
      }
    });

  withFiles(node.command("uninstall"))
    .description(
      "take both away again; containers that are attached stay so until their runtime ends them",
    )
    .action((flags: NodeFiles) => {
      const removed = uninstallNode(flags);
      for (const path of removed) process.stdout.write(`${path} removed\n`);
      if (removed.length === 0) process.stdout.write("nothing of Heddle's is there\n");
    });
}
