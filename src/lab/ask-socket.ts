/** Asks a process of the lab over its unix socket. */

import * as http from "node:http";

const timeoutMs = 1_000;

/** GET over a unix socket; rejects unless the answer is 200. */
export function getText(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${path}: status ${response.statusCode}: ${text.trim()}`));
      });
    });
    request.once("timeout", () => request.destroy(new Error(`${path}: no answer`)));
    request.once("error", reject);
  });
}
