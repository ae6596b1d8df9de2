/** Random configurations for property tests: everything that the model can say and the wire can carry. */

import fc from "fast-check";
import type { ProxyConfig } from "../../src/model/proxy-config.ts";
import { cluster, endpoints } from "./proxy-config/clusters.ts";
import { listener } from "./proxy-config/listeners.ts";
import { routeConfig } from "./proxy-config/routes.ts";
import { sorted } from "./proxy-config/values.ts";

export const proxyConfig: fc.Arbitrary<ProxyConfig> = fc
  .record({
    listeners: sorted(listener, (listener) => listener.name),
    routes: sorted(routeConfig, (config) => config.name),
    clusters: sorted(cluster, (cluster) => cluster.name),
    endpoints: sorted(endpoints, (endpoints) => endpoints.cluster),
  })
  // Ordinary objects: fast-check also makes some without a prototype.
  .map((config) => structuredClone(config));
