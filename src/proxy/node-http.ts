/**
 * Node's HTTP server, for what is not on the way of requests: admin paths, and workers' orders.
 *
 * Asked for instead of imported: an `import` of `node:http` evaluates all that the module exports, WebSocket and EventSource
 * among it, and with them comes undici, which no sidecar uses: 2.5 MB for each (bench/README.md, sidecar-memory).
 */

const http: typeof import("node:http") = process.getBuiltinModule("node:http");

export const createServer: typeof http.createServer = http.createServer;
export const get: typeof http.get = http.get;
/** Index: an HTTP status. Its reason phrase. */
export const STATUS_CODES: typeof http.STATUS_CODES = http.STATUS_CODES;
