/** Stand-in for Istio's helloworld sample: `helloworld.ts <version>`, on port 5000. */

import { podName, serveHttp } from "./serving.ts";

const version = process.env["SERVICE_VERSION"] ?? process.argv[2] ?? "v1";

serveHttp([5000], (_request, { pathname }) =>
  pathname === "/health"
    ? { body: "Helloworld is healthy" }
    : { body: `Hello version: ${version}, instance: ${podName}\n` },
);
