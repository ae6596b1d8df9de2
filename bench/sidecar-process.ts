/**
 * One sidecar as a process of its own, for benches: takes its snapshot from a file and prints the port it listens on.
 *
 *   node bench/sidecar-process.ts SNAPSHOT.json
 *
 * The snapshot is of the shape that the control plane sends. Where connections wanted to go stands beside it in the file,
 * since nothing redirects connections here.
 */

import { readFileSync } from "node:fs";
import { createLog } from "../src/base/log.ts";
import { isHungUp } from "../src/kernel/tcp-state.ts";
import type { ProxyNode } from "../src/model/proxy-config.ts";
import type { ProxySnapshot } from "../src/proxy/config/source.ts";
import { createSidecar } from "../src/proxy/create-sidecar.ts";
import type { Destination } from "../src/proxy/listen/runtime.ts";

export interface SidecarFile {
  readonly node: ProxyNode;
  readonly listener: string;
  readonly destination: Destination;
  readonly snapshot: ProxySnapshot;
}

const file = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as SidecarFile;
const sidecar = createSidecar(
  {
    originalDestination: () => file.destination,
    isHungUp,
    log: createLog((line) => void process.stderr.write(`${line}\n`), Date.now),
    clock: { now: Date.now, sleep: () => Promise.resolve() },
    random: Math.random,
  },
  { proxy: file.node, trustDomain: "cluster.local" },
);
await sidecar.apply(file.snapshot);
process.stdout.write(`${sidecar.portOf(file.listener)}\n`);
process.once("SIGTERM", () => process.exit()); // lets --cpu-prof write its file
