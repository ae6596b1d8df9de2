/** A server on a folder and free ports, without xDS: the process that restart tests kill. Prints its ports as JSON. */

import { createLog } from "../../base/log.ts";
import { startServer } from "../main.ts";
import { noXds } from "./no-xds.ts";
import { wallClock } from "./wall-clock.ts";

const [dataDir = "", apiPort = "0"] = process.argv.slice(2);
const server = await startServer(
  { dataDir, listen: { host: "127.0.0.1", apiPort: Number(apiPort), xdsPort: 0, metricsPort: 0 } },
  {
    clock: wallClock,
    random: Math.random,
    log: createLog((line) => process.stderr.write(`${line}\n`), Date.now, "warn"),
    startXdsServer: noXds,
  },
  new AbortController().signal,
);
process.stdout.write(`${JSON.stringify({ apiPort: server.apiPort })}\n`);
