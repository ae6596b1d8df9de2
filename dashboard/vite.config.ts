/**
 * How the dashboard is built: `dashboard/` into `build/dashboard`, which `heddle server` serves.
 *
 * Every file that is worth it is compressed here, once, instead of by the server for each browser.
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin, UserConfig } from "vite";

const outDir = join(import.meta.dirname, "..", "build", "dashboard");

const compress: Plugin = {
  name: "compress",
  closeBundle() {
    for (const entry of readdirSync(outDir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(js|css|svg)$/.test(entry.name)) continue;
      const file = join(entry.parentPath, entry.name);
      writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
    }
  },
};

const config: UserConfig = {
  root: import.meta.dirname,
  plugins: [compress],
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the page's policy forbids data: URLs but for images
    rolldownOptions: {
      checks: { pluginTimings: false },
      // "use client" is for servers that render; here all is the client.
      onLog: (level, log, next) => log.code === "MODULE_LEVEL_DIRECTIVE" || next(level, log),
    },
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2_000, // the graph's layout, in a worker of its own
  },
};

export default config;
