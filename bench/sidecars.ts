/**
 * Sidecars of benches, as processes of their own: that of `web`, which calls `cart` or `echo`, and that of `cart`.
 *
 * Each gets the configuration that the control plane would compile, from a file (sidecar-process.ts), and is pinned.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sidecarNodeOptions } from "../src/agent/sidecars/node-options.ts";
import type { Cluster, VirtualHost } from "../src/model/proxy-config.ts";
import type { ProxySnapshot } from "../src/proxy/config/source.ts";
import {
  cluster,
  endpoint,
  forward,
  inbound,
  labels,
  node,
  outbound,
  passthrough,
  route,
  upstreamTls,
  virtualHost,
} from "../src/proxy/testing/mesh.ts";
import { createMeshCa, type ProxySecrets } from "../src/proxy/testing/mesh-ca.ts";
import type { Pinned, Processes } from "./processes.ts";
import type { SidecarFile } from "./sidecar-process.ts";

export const host = "cart.shop.svc.cluster.local";
export const webIdentity = "spiffe://cluster.local/ns/shop/sa/web";
export const cartIdentity = "spiffe://cluster.local/ns/shop/sa/cart";

export interface Started {
  readonly port: number;
  readonly process: Pinned;
}

/** Certificates of both ends; PEM files of them in `folder` for programs that are no sidecars. */
export interface MeshCertificates {
  readonly web: ProxySecrets;
  readonly cart: ProxySecrets;
  readonly files: {
    readonly roots: string;
    /** Certificate and key together, as HAProxy wants them. */
    readonly web: string;
    readonly cart: string;
    readonly webChain: string;
    readonly webKey: string;
  };
}

export async function certificates(folder: string): Promise<MeshCertificates> {
  const ca = await createMeshCa();
  const [web, cart] = [await ca.secrets(webIdentity), await ca.secrets(cartIdentity)];
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const files = {
    roots: file("roots.pem", ca.roots),
    web: file("web.pem", `${web[0].chain}\n${web[0].key}`),
    cart: file("cart.pem", `${cart[0].chain}\n${cart[0].key}`),
    webChain: file("web-chain.pem", web[0].chain),
    webKey: file("web-key.pem", web[0].key),
  };
  return { web, cart, files };
}

export interface SidecarOptions {
  readonly processes: Processes;
  readonly folder: string;
  readonly core: number;
  /** Extra words for the node that runs it, e.g. `--cpu-prof`. */
  readonly nodeOptions?: readonly string[];
}

export async function startSidecar(
  options: SidecarOptions,
  name: string,
  file: SidecarFile,
): Promise<Started> {
  const { processes, folder, core, nodeOptions = [] } = options;
  const path = join(folder, `${name.replaceAll(" ", "-")}.json`);
  writeFileSync(path, JSON.stringify(file), { mode: 0o600 });
  const script = join(import.meta.dirname, "sidecar-process.ts");
  const command = [process.execPath, ...sidecarNodeOptions, ...nodeOptions, script, path];
  const started = await processes.start(name, core, command, true);
  return { port: Number(started.firstLine), process: started };
}

/** The sidecar of `web`: requests for `cart` go to this port of loopback, by mutual TLS where there are certificates. */
export function webSidecar(
  port: number,
  more: Partial<Cluster> = {},
  web?: ProxySecrets,
): SidecarFile {
  const name = `outbound|80||${host}`;
  const tls = web === undefined ? {} : { tls: upstreamTls(cartIdentity) };
  return webSidecarOf({
    virtualHosts: [virtualHost(["cart", host], [route(forward(name))])],
    clusters: [cluster(name, { service, ...tls, ...more })],
    port,
    secrets: web ?? [],
  });
}

const service = { namespace: "shop", name: "cart", host, port: 80 };

export interface WebConfig {
  readonly virtualHosts: readonly VirtualHost[];
  readonly clusters: readonly Cluster[];
  /** Where the endpoint of every cluster is, on loopback. */
  readonly port: number;
  readonly secrets: ProxySnapshot["secrets"];
}

export function webSidecarOf({ virtualHosts, clusters, port, secrets }: WebConfig): SidecarFile {
  return {
    node: node(labels("shop", "web")),
    listener: "virtualOutbound",
    destination: { address: "10.96.0.1", port: 80 },
    snapshot: {
      version: "1",
      secrets,
      config: {
        ...outbound(virtualHosts),
        clusters: [...clusters, passthrough],
        endpoints: clusters.map(({ name, tls }) => ({
          cluster: name,
          endpoints: [endpoint(port, { tls: tls !== undefined, workload: labels("shop", "cart") })],
        })),
      },
    },
  };
}

/** The sidecar of `web`, whose connections all go as plain TCP to this port of loopback. */
export function tcpSidecar(port: number): SidecarFile {
  const file = webSidecarOf({ virtualHosts: [], clusters: [], port, secrets: [] });
  return { ...file, destination: { address: "127.0.0.1", port } };
}

/** The sidecar of `cart`, in front of an application on this port of loopback; takes nothing but mutual TLS. */
export function cartSidecar(port: number, cart: ProxySecrets): SidecarFile {
  return {
    node: node(labels("shop", "cart")),
    listener: "virtualInbound",
    destination: { address: "127.0.0.1", port },
    snapshot: {
      version: "1",
      secrets: cart,
      config: { ...inbound(port, { isStrict: true }), routes: [], endpoints: [] },
    },
  };
}
