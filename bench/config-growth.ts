/**
 * How do CPU per request and memory grow with the configuration?
 *
 * With n = 10, 100, 1 000 and 10 000: as many clusters, as many virtual hosts, and as many routes in one of them. Requests
 * are for the last route of the last host, whose look-up a list would make the longest, once with routes for exact paths
 * and once for prefixes; beside Envoy with the same routes, up to 1 000: with 10 000 clusters it takes minutes to start.
 * Growth is ours against ours at 10.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PathMatch } from "../src/model/proxy-config.ts";
import { cluster, forward, route, virtualHost } from "../src/proxy/testing/mesh.ts";
import { round } from "./figures.ts";
import { wrk } from "./load/wrk.ts";
import { cpuOf, inTurns, type Path, type Sample } from "./paths.ts";
import { Processes, requireCommands, residentBytes } from "./processes.ts";
import type { BenchResult } from "./result.ts";
import { type RouteKind, startEnvoy } from "./rivals/envoy.ts";
import { startBackend } from "./rivals/haproxy.ts";
import { startSidecar, webSidecarOf } from "./sidecars.ts";

const sizes = [10, 100, 1_000, 10_000];
const mostOfEnvoy = 1_000;
const connections = 64;
const endsCore = 0;
const proxyCore = 1;
/** CPU per request with 10 000 against that with 10. */
const aim = 1.2;

interface Measured {
  readonly n: number;
  readonly kind: RouteKind;
  readonly ours: Sample;
  readonly envoy: Sample | undefined;
}

export interface ConfigGrowthOptions {
  readonly runs?: number;
  readonly seconds?: number;
}

export async function run(options: ConfigGrowthOptions = {}): Promise<BenchResult> {
  requireCommands("config-growth", ["wrk", "taskset", "haproxy"]);
  const all: Measured[] = [];
  for (const kind of ["path", "prefix"] as const) {
    for (const n of sizes) all.push(await withSize(n, kind, options));
  }
  const cpuUs = (kind: RouteKind, of: "ours" | "envoy", n: number) =>
    all.find((one) => one.kind === kind && one.n === n)?.[of]?.["cpuUs"] ?? 0;
  const [least = 0, most = 0] = [sizes[0], sizes.at(-1)];
  const grown = (kind: RouteKind, of: "ours" | "envoy", n: number) =>
    round(cpuUs(kind, of, n) / cpuUs(kind, of, least));
  return {
    bench: "config-growth",
    unit: "microseconds of CPU per request with 10 000 routes, hosts and clusters (floor: with 10; Envoy: with 1 000)",
    ours: cpuUs("path", "ours", most),
    floor: cpuUs("path", "ours", least),
    rivals: { envoy: cpuUs("path", "envoy", mostOfEnvoy) },
    ratio: {
      floor: Math.max(grown("path", "ours", most), grown("prefix", "ours", most)),
      envoy: round(cpuUs("path", "ours", mostOfEnvoy) / cpuUs("path", "envoy", mostOfEnvoy)),
    },
    growth: sizes.map((n) => ({ n, value: cpuUs("path", "ours", n) })),
    details: {
      aim,
      envoyGrowth: {
        path: grown("path", "envoy", mostOfEnvoy),
        prefix: grown("prefix", "envoy", mostOfEnvoy),
      },
      all,
    },
  };
}

async function withSize(
  n: number,
  kind: RouteKind,
  { runs = 3, seconds = 1 }: ConfigGrowthOptions,
): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"));
  await using processes = new Processes();
  using _folder = { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
  const backend = await startBackend(processes, folder, endsCore);
  const paths = await start(processes, folder, backend.port, n, kind);
  const load = async (path: Path, length: number): Promise<Sample> => {
    const before = cpuOf(path);
    const target = {
      host: hostOf(n - 1),
      path: `${pathOf(n - 1)}${kind === "prefix" ? "/x" : ""}`,
    };
    const { port } = path;
    const report = await wrk({ port, core: endsCore, seconds: length, connections, ...target });
    return {
      cpuUs: (cpuOf(path) - before) / report.requests,
      residentMb: residentBytes(path.counted[0]?.process.pid ?? 0) / 1e6,
    };
  };
  const figures = await inTurns(
    paths,
    runs,
    (path) => load(path, 2),
    (path) => load(path, seconds),
  );
  const ours = figures.get("heddle")?.medians ?? {};
  return { n, kind, ours, envoy: figures.get("envoy")?.medians };
}

const hostOf = (i: number) => `service-${i}.shop.svc.cluster.local`;
const pathOf = (i: number) => `/items/${i}`;

async function start(
  processes: Processes,
  folder: string,
  port: number,
  n: number,
  kind: RouteKind,
): Promise<readonly Path[]> {
  const names = Array.from({ length: n }, (_, i) => `outbound|80||${hostOf(i)}`);
  const match = (i: number): PathMatch => ({
    kind: kind === "path" ? "exact" : "prefix",
    value: pathOf(i),
  });
  const routes = names.map((name, i) =>
    route(forward(name), {
      name: `route-${i}`,
      match: { path: match(i), headers: [], queryParameters: [] },
    }),
  );
  const sidecar = await startSidecar(
    { processes, folder, core: proxyCore },
    "sidecar",
    webSidecarOf({
      virtualHosts: names.map((name, i) =>
        virtualHost([hostOf(i)], [...(i === n - 1 ? routes : []), route(forward(name))]),
      ),
      clusters: names.map((name, i) =>
        cluster(name, {
          service: { namespace: "shop", name: `service-${i}`, host: hostOf(i), port: 80 },
        }),
      ),
      port,
      secrets: [],
    }),
  );
  const ours = { name: "heddle", port: sidecar.port, counted: [sidecar.process] };
  if (n > mostOfEnvoy) return [ours];
  const envoy = await startEnvoy(processes, folder, proxyCore, {
    kind: "http",
    protocol: "http/1.1",
    services: names.map((name, i) => ({
      name,
      domains: [hostOf(i)],
      backend: port,
      ...(i === n - 1
        ? { routes: names.map((to, j) => ({ match: { [kind]: pathOf(j) }, cluster: to })) }
        : {}),
    })),
  });
  return [ours, { name: "envoy", port: envoy.port, counted: [envoy.process] }];
}
