/**
 * Does in a spare process, while nobody waits, what would otherwise be done for the first time while a pod waits.
 *
 * A sidecar and its admin server are brought up on loopback ports of the system's choice, one request goes through
 * each, and everything is closed again. That loads Node's lazy parts and compiles the path to the first answer; ready
 * after an assignment takes a third of the time. Whatever goes wrong here goes wrong silently: the real thing will say
 * it properly.
 */

import type { Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { createSecureContext } from "node:tls";
import type { ProxySnapshot } from "./config/source.ts";
import { listen, metricsServer } from "./observe/admin.ts";
import type { Sidecar } from "./sidecar.ts";
import { TlsContext } from "./tls/context.ts";

const address = "127.0.0.1";
const patienceMs = 1_000;

export async function warmUp(sidecar: Sidecar): Promise<void> {
  let server: Server | undefined;
  try {
    createSecureContext({ minVersion: "TLSv1.3" }); // loads OpenSSL's configuration and providers
    new TlsContext({ own: undefined, roots: undefined, sessionName: "", sessionSeconds: 0 }); // finds its functions
    await sidecar.apply(snapshot);
    server = metricsServer(sidecar);
    await listen(server, { host: address, port: 0 });
    await ask(sidecar.portOf("warm-up"), "/");
    await ask((server.address() as AddressInfo).port, "/stats/prometheus");
  } catch {
    // The assignment will meet the same obstacle, and report it.
  } finally {
    server?.close();
    server?.closeAllConnections();
    await sidecar.drain();
  }
}

/** One listener that answers by itself, through the same code as a request that is forwarded. */
const snapshot: ProxySnapshot = {
  version: "warm-up",
  secrets: [],
  config: {
    listeners: [
      {
        name: "warm-up",
        direction: "outbound",
        address,
        port: 0,
        bindToPort: true,
        useOriginalDestination: false,
        filterChains: [
          {
            name: "warm-up",
            match: { transport: "raw", applicationProtocols: ["http/1.1"] },
            rbac: [],
            filter: {
              kind: "http",
              statPrefix: "warm-up",
              rbac: [],
              routes: {
                kind: "inline",
                config: {
                  name: "warm-up",
                  virtualHosts: [
                    {
                      name: "warm-up",
                      domains: ["*"],
                      routes: [
                        {
                          name: "warm-up",
                          match: {
                            path: { kind: "prefix", value: "/" },
                            headers: [],
                            queryParameters: [],
                          },
                          action: { kind: "respond", status: 200, body: "warm" },
                        },
                      ],
                    },
                  ],
                },
              },
            },
          },
        ],
      },
    ],
    routes: [],
    clusters: [],
    endpoints: [],
  },
};

function ask(port: number | undefined, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (port === undefined) return reject(new RangeError("nothing listens"));
    const socket = connect({ host: address, port });
    socket.setTimeout(patienceMs, () => socket.destroy());
    socket.once("error", reject);
    socket.once("close", () => resolve());
    socket.resume();
    socket.write(`GET ${path} HTTP/1.1\r\nhost: warm-up\r\nconnection: close\r\n\r\n`);
  });
}
