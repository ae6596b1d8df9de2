/** What accepting a connection needs to know; one per sidecar. */

import type { Tables } from "../config/tables.ts";
import type { Environment } from "../environment.ts";
import type { Recorder } from "../observe/recorder.ts";
import type { Connections } from "./connections.ts";
import type { ServerFirst } from "./server-first.ts";

export interface Destination {
  readonly address: string;
  readonly port: number;
}

/** Where a captured connection wanted to go, from the kernel; undefined when it was not redirected. */
export type OriginalDestination = (descriptor: number) => Destination | undefined;

export interface Runtime {
  readonly environment: Environment;
  readonly recorder: Recorder;
  readonly connections: Connections;
  readonly serverFirst: ServerFirst;
  readonly originalDestination: OriginalDestination;
  /** The configuration in force. */
  tables: Tables;
}
