/**
 * A CNI invocation as a value: environment and configuration checked once, in the order and with the codes of the
 * reference library (`pkg/skel`), so that runtimes meet what they know.
 *
 * Environment first (all that is missing at once, code 4), then the configuration (6, 7), the names of container and
 * interface (4), the versions (1). Unknown fields of the configuration are accepted, as the specification asks.
 *
 * Not here: anything that needs a kernel (does the namespace exist, is it the agent's own).
 */

import { type CniArgs, parseArgs } from "./args.ts";
import { CniError, cniCodes } from "./error.ts";
import type { CniInvocation } from "./frame.ts";
import { isAtLeast, supportedVersions } from "./version.ts";
import { parseWishes, type Wishes } from "./wishes.ts";

/** Which interface of which container: what a runtime calls an attachment. */
export interface AttachmentKey {
  readonly containerId: string;
  readonly ifName: string;
}

export interface CniConfig {
  readonly cniVersion: string;
  /** Of the network, not of the plugin. */
  readonly name: string;
  /** Result of the plugins before us; shape not checked. */
  readonly prevResult?: unknown;
}

interface Verb {
  readonly key: AttachmentKey;
  readonly args: CniArgs;
  readonly config: CniConfig;
  /** The caller says that attaching the agent's own namespace is meant. */
  readonly allowOwnNetns: boolean;
}

export type CniRequest =
  | (Verb & { readonly command: "ADD"; readonly netns: string; readonly wishes: Wishes })
  | (Verb & { readonly command: "CHECK"; readonly netns: string })
  /** `netns` is empty or gone where the container is dead already. */
  | (Verb & { readonly command: "DEL"; readonly netns: string })
  | {
      readonly command: "GC";
      readonly config: CniConfig;
      /** Undefined where the caller sent no list: then nothing is known to be stale. */
      readonly valid?: readonly AttachmentKey[];
    }
  | { readonly command: "STATUS"; readonly config: CniConfig }
  | { readonly command: "VERSION"; readonly cniVersion?: string }
  /** Run by a person, without CNI_COMMAND. */
  | { readonly command: "ABOUT" };

const required: Readonly<Record<string, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
  GC: ["CNI_PATH"],
  STATUS: ["CNI_PATH"],
  VERSION: [],
};

/** Throws CniError with the code that the runtime knows. */
export function parseRequest(invocation: CniInvocation): CniRequest {
  const env = (name: string): string => invocation.env[name] ?? "";
  const command = env("CNI_COMMAND");
  if (command === "") return { command: "ABOUT" };
  const wanted = Object.hasOwn(required, command) ? required[command] : undefined;
  if (wanted === undefined) {
    throw new CniError(cniCodes.badEnvironment, `unknown CNI_COMMAND: ${command}`);
  }
  const missing = wanted.filter((name) => env(name) === "");
  if (missing.length > 0) {
    throw new CniError(
      cniCodes.badEnvironment,
      `required env variables [${missing.join(",")}] missing`,
    );
  }
  if (command === "VERSION") return { command, ...versionOf(invocation.stdin) };

  const { config, raw } = parseConfig(invocation.stdin);
  switch (command) {
    case "ADD":
    case "CHECK":
    case "DEL": {
      const key = { containerId: env("CNI_CONTAINERID"), ifName: env("CNI_IFNAME") };
      checkNames(key);
      checkVersion(config, command === "CHECK" ? "0.4.0" : "0.1.0", command);
      const allowOwnNetns = ["1", "true"].includes(env("CNI_NETNS_OVERRIDE").toLowerCase());
      // A DEL needs none of them, and must not fail on any.
      const args = command === "DEL" ? {} : parseArgs(env("CNI_ARGS"));
      const verb = { key, netns: env("CNI_NETNS"), args, config, allowOwnNetns };
      // Only ADD grants wishes: a DEL must not fail on one that was refused.
      if (command !== "ADD") return { command, ...verb };
      return { command, ...verb, wishes: parseWishes(raw, args, config.name) };
    }
    case "GC": {
      checkVersion(config, "1.1.0", command);
      const valid = validAttachments(raw);
      return { command, config, ...(valid === undefined ? {} : { valid }) };
    }
    default:
      checkVersion(config, "1.1.0", command);
      return { command: "STATUS", config };
  }
}

function parseConfig(stdin: string): {
  readonly config: CniConfig;
  readonly raw: Readonly<Record<string, unknown>>;
} {
  const raw = parseJson(stdin);
  const name = raw["name"];
  if (typeof name !== "string" || name === "") {
    throw new CniError(cniCodes.invalidConfig, "missing network name");
  }
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new CniError(
      cniCodes.invalidConfig,
      `invalid characters found in network name "${name}"`,
    );
  }
  // A configuration without a version is from before versions: 0.1.0.
  const version = raw["cniVersion"];
  const cniVersion = typeof version === "string" && version !== "" ? version : "0.1.0";
  const prevResult = raw["prevResult"];
  return {
    config: { cniVersion, name, ...(prevResult === undefined ? {} : { prevResult }) },
    raw,
  };
}

function parseJson(stdin: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(stdin);
  } catch (cause) {
    throw new CniError(cniCodes.decode, "parse network configuration on standard input", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CniError(cniCodes.decode, "parse network configuration: want a JSON object");
  }
  return value as Readonly<Record<string, unknown>>;
}

function checkNames({ containerId, ifName }: AttachmentKey): void {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(containerId)) {
    throw new CniError(cniCodes.badEnvironment, "invalid characters in containerID", {
      details: containerId,
    });
  }
  const fault =
    ifName.length > 15
      ? "interface name is too long: want at most 15 characters"
      : ifName === "." || ifName === ".."
        ? "interface name is . or .."
        : /[/:\s]/.test(ifName)
          ? "interface name contains / or : or whitespace characters"
          : undefined;
  if (fault !== undefined) {
    throw new CniError(cniCodes.badEnvironment, fault, { details: ifName });
  }
}

function checkVersion(config: CniConfig, least: string, command: string): void {
  if (!supportedVersions.includes(config.cniVersion)) {
    throw new CniError(cniCodes.incompatibleVersion, "incompatible CNI versions", {
      details: `config is "${config.cniVersion}", plugin supports [${supportedVersions.join(" ")}]`,
    });
  }
  if (!isAtLeast(config.cniVersion, least)) {
    throw new CniError(
      cniCodes.incompatibleVersion,
      `config version ${config.cniVersion} does not allow ${command}`,
      { details: `want ${least} or newer` },
    );
  }
}

function versionOf(stdin: string): { readonly cniVersion?: string } {
  try {
    const version = parseJson(stdin)["cniVersion"];
    return typeof version === "string" ? { cniVersion: version } : {};
  } catch {
    return {}; // the reference library never reads the input of VERSION
  }
}

/** `cni.dev/valid-attachments`, or the name that libcni used before; keys in any case, as Go writes them. */
function validAttachments(
  raw: Readonly<Record<string, unknown>>,
): readonly AttachmentKey[] | undefined {
  const value = raw["cni.dev/valid-attachments"] ?? raw["cni.dev/attachments"];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) {
    throw new CniError(cniCodes.decode, "cni.dev/valid-attachments: want a list");
  }
  return value.map((each: unknown, index) => {
    const fields = new Map<string, unknown>(
      typeof each === "object" && each !== null
        ? Object.entries(each).map(([key, field]) => [key.toLowerCase(), field])
        : [],
    );
    const containerId = fields.get("containerid");
    const ifName = fields.get("ifname");
    if (typeof containerId !== "string" || typeof ifName !== "string") {
      throw new CniError(
        cniCodes.decode,
        `cni.dev/valid-attachments[${index}]: want containerID and ifname`,
      );
    }
    return { containerId, ifName };
  });
}
