/** Runs the load client inside a pod and gives its report. */

import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Pod } from "../../api/k8s/core.ts";
import { MeshError, present } from "../../base/error.ts";
import { spawnInPod } from "../enter.ts";
import type { LabPaths } from "../names.ts";
import type { LoadOptions, LoadReport } from "./report.ts";

const client = join(import.meta.dirname, "client.ts");

export async function loadFromPod(
  paths: LabPaths,
  pod: Pod,
  options: LoadOptions,
): Promise<LoadReport> {
  const argv = [process.execPath, client, JSON.stringify(options)];
  const child = spawnInPod(paths, pod, undefined, argv, "pipe");
  // Interrupted, the client reports what it has. Ctrl-C reaches it by itself as well; twice is as good as once.
  const interrupt = () => void child.kill("SIGINT");
  process.on("SIGINT", interrupt);
  try {
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    const printed = await text(present(child.stdout, "standard output of the load client"));
    const code = await ended;
    if (printed.startsWith("{")) return parseLoadReport(printed);
    const { namespace, name } = pod.metadata;
    throw new MeshError(
      "lab.load",
      `send requests from pod ${namespace}/${name}: the client ended with ${code} and no report`,
    );
  } finally {
    process.off("SIGINT", interrupt);
  }
}

function parseLoadReport(printed: string): LoadReport {
  return JSON.parse(printed) as LoadReport;
}
