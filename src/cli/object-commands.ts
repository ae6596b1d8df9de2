/**
 * The commands for people that work with any server: get, apply, delete, check, explain, forecast, proxy-config, top,
 * tap.
 *
 * Without `--server` they speak to the lab of this machine (`--lab NAME`), because that is what a checkout has.
 */

import { type Command, Option } from "commander";
import type { Pod } from "../api/k8s/core.ts";
import type { Resource } from "../api/resource.ts";
import { MeshError } from "../base/error.ts";
import { applyObjects, deleteObjects } from "./apply.ts";
import { checkNetwork, renderNetworkCheck } from "./check-network.ts";
import { type Connection, connectServer, type ServerOptions } from "./connection.ts";
import { untilInForce } from "./converge.ts";
import { type ExplainFlags, explainAnswer, explainCommand } from "./explain.ts";
import { type ForecastFlags, forecastAnswer, forecastCommand } from "./forecast.ts";
import { checkIpam, renderCheck } from "./ipam.ts";
import { kindCalled } from "./kind-name.ts";
import { loadManifests } from "./manifests.ts";
import { meshNotes, renderMeshCheck } from "./mesh-notes.ts";
import { type Format, renderObjects } from "./output.ts";
import { standardOutput } from "./screen.ts";
import { runTap, type TapFlags, tapCommand } from "./tap.ts";
import { parseTopic, showTop, type TopFlags, topCommand } from "./top/top.ts";

/** What the commands take from the lab, which they may not know. */
export interface LabAccess {
  adminSocket(lab: string): string;
  /** Sockets of the agents on the lab's hosts. */
  agentSockets(lab: string): readonly string[];
  /** GET of a sidecar's admin interface. */
  askSidecar(lab: string, pod: Pod, path: string): Promise<string>;
}

interface TargetFlags extends ServerOptions {
  readonly lab: string;
}

interface NamespaceFlags extends TargetFlags {
  readonly namespace?: string;
}

interface GetFlags extends NamespaceFlags {
  readonly allNamespaces?: true;
  readonly output?: "json" | "yaml";
}

interface FileFlags extends NamespaceFlags {
  readonly filename: readonly string[];
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const warn = (text: string): void => void process.stderr.write(`warning: ${text}\n`);

export function addObjectCommands(program: Command, labs: LabAccess): void {
  const withServer = async <T>(flags: TargetFlags, use: (c: Connection) => Promise<T>) => {
    const connection = connectServer(flags, labs.adminSocket(flags.lab), warn);
    try {
      return await use(connection);
    } finally {
      connection.close();
    }
  };

  targeted(program.command("get"))
    .description("show objects of a kind")
    .argument("<kind>", "such as pods, services, virtualservices")
    .argument("[name]", "one object")
    .option("-n, --namespace <namespace>", "of this namespace only")
    .option("-A, --all-namespaces", "of all namespaces (the default without a name)")
    .addOption(new Option("-o, --output <format>", "for programs").choices(["json", "yaml"]))
    .action(async (word: string, name: string | undefined, flags: GetFlags) => {
      const { kind, namespaced } = kindCalled(word);
      const format: Format = flags.output ?? "table";
      await withServer(flags, async ({ client }) => {
        if (name === undefined) {
          const { objects } = await client.list<Resource>(kind, namespaced ? flags.namespace : "");
          print(renderObjects(objects, true, format));
          return;
        }
        const namespace = namespaced ? (flags.namespace ?? "default") : "";
        const object = await client.get<Resource>(kind, namespace, name);
        if (object === undefined) throw absent(kind, namespace, name);
        print(renderObjects([object], false, format));
      });
    });

  targeted(program.command("apply"))
    .description("create or change objects; nothing is sent unless all files are right")
    .requiredOption(
      "-f, --filename <files...>",
      "manifests, folders of them, or - for standard input",
    )
    .option("-n, --namespace <namespace>", "for objects that name none")
    .option("--wait", "return when every agent and sidecar has taken the change")
    .action(async (flags: FileFlags & { wait?: true }) => {
      const objects = loadManifests(flags.filename, flags.namespace);
      await withServer(flags, async ({ client, transport }) => {
        const version = await applyObjects(client, objects, print);
        if (flags.wait) await untilInForce(transport, version, objects, warn);
      });
    });

  targeted(program.command("delete"))
    .description("delete objects, by manifests or by name")
    .argument("[kind]")
    .argument("[names...]")
    .option("-f, --filename <files...>", "the objects of these manifests")
    .option("-n, --namespace <namespace>", "the objects' namespace")
    .action(async (word: string | undefined, names: string[], flags: FileFlags) => {
      const objects = [
        ...loadManifests(flags.filename ?? [], flags.namespace),
        ...(word === undefined ? [] : named(word, names, flags.namespace)),
      ];
      if (objects.length === 0) {
        throw new MeshError("cli.usage", "delete: want -f FILES, or KIND NAME", { fault: "user" });
      }
      await withServer(flags, ({ client }) => deleteObjects(client, objects, print));
    });

  targeted(program.command("proxy-config"))
    .description("what a pod's sidecar is configured to do")
    .argument("<pod>")
    .option("-n, --namespace <namespace>", "the pod's namespace", "default")
    .action(async (name: string, flags: TargetFlags & { namespace: string }) => {
      const pod = await withServer(flags, ({ client }) =>
        client.get<Pod>("Pod", flags.namespace, name),
      );
      if (pod === undefined) throw absent("Pod", flags.namespace, name);
      print((await labs.askSidecar(flags.lab, pod, "/config_dump")).trimEnd());
    });

  const ipam = program.command("ipam").description("the addresses of pods");
  targeted(ipam.command("check"))
    .description("find where Pods, nodes' records and address blocks disagree; locks nothing")
    .option("--fix", "repair what is found, and nothing else")
    .option("--agent <socket...>", "agents to look into (default: those of the lab)")
    .action(async (flags: TargetFlags & { fix?: true; agent?: readonly string[] }) => {
      const agents = flags.agent ?? labs.agentSockets(flags.lab);
      const result = await withServer(flags, ({ client }) =>
        checkIpam(client, agents, flags.fix ?? false),
      );
      print(renderCheck(result));
      if (result.findings.length > result.fixed.length) process.exitCode = 1;
    });

  const check = program.command("check").description("what is wrong, and what helps");
  targeted(check.command("network"))
    .description("probe the paths between all nodes, and what stands in their way")
    .addOption(new Option("-o, --output <format>", "for programs").choices(["json"]))
    .option("--json", "the same as -o json")
    .action(async (flags: TargetFlags & { json?: true; output?: "json" }) => {
      const result = await withServer(flags, ({ transport }) => checkNetwork(transport));
      const isForPrograms = flags.json === true || flags.output === "json";
      print(isForPrograms ? JSON.stringify(result, undefined, 2) : renderNetworkCheck(result));
      if (result.findings.length > 0) process.exitCode = 1;
    });

  targeted(check.command("mesh"))
    .description("find what sidecars and gateways do not do as it is written")
    .addOption(new Option("-o, --output <format>", "for programs").choices(["json"]))
    .action(async (flags: TargetFlags & { output?: "json" }) => {
      const result = await withServer(flags, ({ transport }) => meshNotes(transport));
      print(
        flags.output === "json" ? JSON.stringify(result, undefined, 2) : renderMeshCheck(result),
      );
      if (result.notes.length > 0) process.exitCode = 1;
    });

  targeted(explainCommand(program.command("explain"))).action(
    async (source: string, destination: string, flags: TargetFlags & ExplainFlags) => {
      print(
        await withServer(flags, ({ client }) => explainAnswer(client, source, destination, flags)),
      );
    },
  );

  targeted(forecastCommand(program.command("forecast"))).action(
    async (service: string, flags: TargetFlags & ForecastFlags) => {
      const { text, exitCode } = await withServer(flags, ({ transport }) =>
        forecastAnswer(transport, service, flags),
      );
      print(text);
      process.exitCode = exitCode;
    },
  );

  targeted(topCommand(program.command("top"))).action(
    async (topic: string, flags: TargetFlags & TopFlags) => {
      const options = { terminal: standardOutput, signal: interrupted() };
      await withServer(flags, ({ transport }) =>
        showTop(transport, parseTopic(topic), flags, options),
      );
    },
  );

  targeted(tapCommand(program.command("tap"))).action(
    async (target: string | undefined, flags: TargetFlags & TapFlags) => {
      const note = (text: string) => void process.stderr.write(`${text}\n`);
      await withServer(flags, ({ transport }) =>
        runTap(transport, target, flags, { out: print, note }, interrupted()),
      );
    },
  );
}

/** Ctrl-C ends what goes on until then, in good order. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => controller.abort(new Error(name)));
  }
  return controller.signal;
}

function targeted(command: Command): Command {
  return command
    .option("--lab <name>", "the server of this lab", "lab")
    .option("--server <where>", "an admin socket, or https://HOST:6443")
    .option("--token-file <file>", "with https: who we are")
    .option("--roots-file <file>", "with https: whom to trust");
}

function named(word: string, names: readonly string[], namespace = "default"): Resource[] {
  const { kind, namespaced, apiVersions } = kindCalled(word);
  return names.map((name) => ({
    apiVersion: apiVersions[0] ?? "v1",
    kind,
    metadata: { name, ...(namespaced ? { namespace } : {}) },
  }));
}

function absent(kind: string, namespace: string, name: string): MeshError {
  const where = namespace === "" ? "" : ` in namespace ${namespace}`;
  return new MeshError("cli.object.absent", `there is no ${kind} "${name}"${where}`, {
    fault: "user",
  });
}
