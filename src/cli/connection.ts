/**
 * Which server a command speaks to: the admin socket of this machine's installation or lab, or HTTPS with a token.
 *
 * Commands never know which; they get an ObjectClient.
 */

import { readFileSync } from "node:fs";
import { kindNamed, restPath } from "../api/kinds.ts";
import { MeshError } from "../base/error.ts";
import { Secret } from "../base/secret.ts";
import { httpObjectClient } from "../rpc/http-object-client.ts";
import { type HttpTransport, httpTransport } from "../rpc/http-transport.ts";
import type { ObjectClient, PathOf } from "../rpc/object-client.ts";
import { systemClock } from "./system-clock.ts";

/** As given on the command line. */
export interface ServerOptions {
  /** Path of an admin socket, or an https URL. */
  readonly server?: string;
  readonly tokenFile?: string;
  readonly rootsFile?: string;
}

export interface Connection {
  readonly client: ObjectClient;
  readonly transport: HttpTransport;
  close(): void;
}

/** A connection by options; without `--server`, to `defaultSocket`. */
export function connectServer(
  options: ServerOptions,
  defaultSocket: string,
  onWarning: (text: string) => void,
): Connection {
  const server = options.server ?? defaultSocket;
  if (!server.startsWith("https://")) return connectSocket(server, onWarning);
  if (options.tokenFile === undefined || options.rootsFile === undefined) {
    throw new MeshError(
      "cli.server.credentials",
      `server ${server}: want --token-file and --roots-file`,
      { fault: "user" },
    );
  }
  const token = new Secret(readFileSync(options.tokenFile, "utf8").trim());
  const roots = readFileSync(options.rootsFile, "utf8");
  return connected(httpTransport({ kind: "https", url: server, token, roots }), onWarning);
}

/** A connection over the unix socket that `heddle server` has in its data folder. */
export function connectSocket(path: string, onWarning: (text: string) => void): Connection {
  return connected(httpTransport({ kind: "socket", path }), onWarning);
}

function connected(transport: HttpTransport, onWarning: (text: string) => void): Connection {
  const client = httpObjectClient({
    transport,
    pathOf,
    clock: systemClock,
    random: Math.random,
    onWarning,
  });
  return { client, transport, close: () => transport.close() };
}

const pathOf: PathOf = (kind, namespace, name) => {
  const known = kindNamed(kind);
  if (known === undefined) {
    throw new MeshError("cli.kind.unknown", `unknown kind "${kind}"`, { fault: "user" });
  }
  return restPath(known, namespace, name);
};
