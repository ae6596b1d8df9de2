/**
 * One CNI call from bytes to reply: decode, check, run the verb in its turn, encode what came of it.
 *
 * Whatever happens, the runtime gets a reply that it can read, in the version that it asked for where that is known.
 * ADD, DEL and CHECK of one container never overlap; those of different ones do.
 */

import { renderError } from "../../base/error.ts";
import { isRecord } from "../../base/json.ts";
import { CniError, cniCodes, encodeError } from "../../wire/cni/error.ts";
import { type CniInvocation, type CniReply, decodeInvocation } from "../../wire/cni/frame.ts";
import { type AttachmentKey, type CniRequest, parseRequest } from "../../wire/cni/request.ts";
import { encodeResult } from "../../wire/cni/result.ts";
import { currentVersion, encodeVersions, supportedVersions } from "../../wire/cni/version.ts";
import type { NodeParts } from "../node-parts.ts";
import { add } from "./add.ts";
import { check } from "./check.ts";
import { collect } from "./collect.ts";
import { del } from "./delete.ts";
import { inTurn } from "./in-turn.ts";
import { requireReady } from "./ready.ts";

export async function answer(
  bytes: Uint8Array,
  parts: NodeParts,
  signal: AbortSignal,
): Promise<CniReply> {
  let version = currentVersion;
  let command = "";
  const start = parts.clock.now();
  try {
    const invocation = decode(bytes);
    version = versionOf(invocation);
    command = invocation.env["CNI_COMMAND"] ?? "";
    const request = parseRequest(invocation);
    const stdout = await run(request, parts, signal);
    if (request.command === "ADD" || request.command === "DEL") {
      const tookMs = parts.clock.now() - start;
      parts.log.info(`cni ${command.toLowerCase()}`, { ...request.key, tookMs });
    }
    return { exitCode: 0, stdout };
  } catch (error) {
    parts.log.warn("cni call refused", { command, error: renderError(error) });
    return { exitCode: 1, stdout: encodeError(error, version) };
  }
}

async function run(request: CniRequest, parts: NodeParts, signal: AbortSignal): Promise<string> {
  const turn = <T>(
    key: AttachmentKey,
    interrupt: boolean,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => inTurn(parts.turns, key, { interrupt, signal }, work);

  switch (request.command) {
    case "ADD": {
      const result = await turn(request.key, false, (until) => add(request, parts, until));
      return encodeResult(result, request.config.cniVersion);
    }
    case "DEL":
      await turn(request.key, true, () => del(request.key, request.config.name, parts));
      return "";
    case "CHECK":
      await turn(request.key, false, async () => check(request, parts));
      return "";
    case "GC":
      await collect(request, parts, (key) =>
        turn(key, false, () => del(key, request.config.name, parts)),
      );
      return "";
    case "STATUS":
      requireReady(parts);
      return "";
    case "VERSION":
      return encodeVersions(request.cniVersion);
    case "ABOUT":
      return `CNI plugin heddle-cni\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`;
  }
}

function decode(bytes: Uint8Array): CniInvocation {
  try {
    return decodeInvocation(bytes);
  } catch (cause) {
    throw new CniError(cniCodes.decode, "read the executable's request", { cause });
  }
}

/** What errors are written in, known before anything else is checked. */
function versionOf(invocation: CniInvocation): string {
  try {
    const value: unknown = JSON.parse(invocation.stdin);
    const version = isRecord(value) ? value["cniVersion"] : undefined;
    return typeof version === "string" && supportedVersions.includes(version)
      ? version
      : currentVersion;
  } catch {
    return currentVersion;
  }
}
