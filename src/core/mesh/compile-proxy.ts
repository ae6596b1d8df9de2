/** The configuration of one sidecar in a world. */

import type { Compiled } from "../../base/compiled.ts";
import type { ProxyConfig, ProxyNode } from "../../model/proxy-config.ts";
import type { World } from "../registry/world.ts";

export function compileProxy(_world: World, _proxy: ProxyNode): Compiled<ProxyConfig> {
  return { value: { listeners: [], routes: [], clusters: [], endpoints: [] }, diagnostics: [] };
}
