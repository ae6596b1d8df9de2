/** A real Envoy, told by a bootstrap file where its control plane listens and nothing else. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const envoyProgram: string = join(import.meta.dirname, "../../../build/envoy/bin/envoy");

/** Why tests that need it are skipped; false where they run. */
export const skipWithoutEnvoy: string | false = existsSync(envoyProgram)
  ? false
  : "needs build/envoy/bin/envoy (npm run setup -- test)";

const listensWithinMs = 30_000;

export class EnvoyProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
  }

  /** `folder` is for its files; `socket` the control plane's. */
  static start(folder: string, socket: string): EnvoyProcess {
    const bootstrap = join(folder, "envoy.json");
    writeFileSync(bootstrap, JSON.stringify(bootstrapFor(socket)));
    const words = [
      ...["-c", bootstrap, "--concurrency", "1", "--disable-hot-restart"],
      ...["--admin-address-path", join(folder, "admin"), "--log-path", join(folder, "log")],
      ...["--log-level", "warning"],
    ];
    return new EnvoyProcess(spawn(envoyProgram, words, { stdio: "ignore" }), folder);
  }

  /** The port that a listener got; resolves when it listens. */
  async portOf(listener: string): Promise<number> {
    const deadline = performance.now() + listensWithinMs;
    for (;;) {
      const port = await this.#listening(listener).catch(() => undefined);
      if (port !== undefined) return port;
      if (this.#child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`Envoy does not listen for ${listener}:\n${this.#log()}`);
      }
      await sleep(20);
    }
  }

  async #listening(listener: string): Promise<number | undefined> {
    const { listener_statuses: statuses = [] } = (await this.admin(
      "/listeners?format=json",
    )) as Listeners;
    return statuses.find(({ name }) => name === listener)?.local_address.socket_address.port_value;
  }

  /** The JSON that its admin port tells at a path. */
  async admin(path: string): Promise<unknown> {
    const address = readFileSync(join(this.#folder, "admin"), "utf8").trim();
    return (await fetch(`http://${address}${path}`)).json();
  }

  #log(): string {
    const path = join(this.#folder, "log");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill();
    await ended;
  }
}

interface Listeners {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
}

function bootstrapFor(socket: string): unknown {
  const fromAds = { ads: {}, resource_api_version: "V3" };
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return {
    node: { id: "sidecar~192.0.2.10~web.shop~shop.svc.cluster.local", cluster: "web.shop" },
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
    dynamic_resources: {
      ads_config: {
        api_type: "DELTA_GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "control-plane" } }],
      },
      cds_config: fromAds,
      lds_config: fromAds,
    },
    static_resources: {
      // Secrets are asked for under the name that Istio's bootstrap gives their server.
      clusters: ["control-plane", "sds-grpc"].map((name) => ({
        name,
        type: "STATIC",
        typed_extension_protocol_options: {
          [options]: {
            "@type": `type.googleapis.com/${options}`,
            explicit_http_config: { http2_protocol_options: {} },
          },
        },
        load_assignment: {
          cluster_name: name,
          endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
        },
      })),
    },
  };
}
