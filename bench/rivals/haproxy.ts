/**
 * HAProxy as a rival, and as the backend of hops: it answers by itself, in C, so that the ends of a path cost little
 * beside what is measured.
 *
 * As a rival it has one thread and is told to do what it can of what our sidecar does: route by host, set the same fields,
 * reuse connections, and where there are certificates TLS 1.3 that verifies both.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Pinned, type Processes, untilAccepts } from "../processes.ts";

/** Files in PEM: certificate and key in one, and the roots to verify by. */
export interface HaproxyTls {
  readonly certificate: string;
  readonly roots: string;
}

export interface Started {
  readonly port: number;
  readonly process: Pinned;
}

const common = `
global
  nbthread 1
  maxconn 12000
  no strict-limits
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always
`;

/** Answers every request with 1 kB. `tls`: on a port of its own also by mutual TLS. */
export async function startBackend(
  processes: Processes,
  folder: string,
  core: number,
  tls?: HaproxyTls,
): Promise<Started & { readonly tlsPort: number }> {
  const [port, tlsPort] = [await freePort(), await freePort()];
  const body = join(folder, "body");
  writeFileSync(body, "x".repeat(1024));
  const binds = [
    `  bind 127.0.0.1:${port}`,
    ...(tls === undefined ? [] : [`  bind 127.0.0.1:${tlsPort} ${tlsWords(tls)}`]),
  ];
  const config = `${common}
frontend app
${binds.join("\n")}
  http-request return status 200 content-type text/plain file ${body}
`;
  const process = await start(processes, folder, core, "backend", config);
  await untilAccepts(port, "the backend");
  return { port, tlsPort, process };
}

/** Forwards requests for `host` to a backend; by mutual TLS where certificates are given. */
export async function startHaproxy(
  processes: Processes,
  folder: string,
  core: number,
  host: string,
  backend: number,
  tls?: HaproxyTls,
): Promise<Started> {
  const port = await freePort();
  const towards = tls === undefined ? "" : ` ${tlsWords(tls)}`;
  const config = `${common}
frontend in
  bind 127.0.0.1:${port}
  http-request set-header x-request-id %[uuid()]
  http-request set-header x-forwarded-proto http
  use_backend cart if { hdr(host) -i ${host} }
backend cart
  balance leastconn
  server one 127.0.0.1:${backend}${towards}
`;
  const process = await start(processes, folder, core, "haproxy", config);
  await untilAccepts(port, "HAProxy");
  return { port, process };
}

/** Accepts mutual TLS, says who called, and forwards to an application. */
export async function startTerminator(
  processes: Processes,
  folder: string,
  core: number,
  backend: number,
  tls: HaproxyTls,
): Promise<Started> {
  const port = await freePort();
  const config = `${common}
frontend in
  bind 127.0.0.1:${port} ${tlsWords(tls)}
  http-request set-header x-forwarded-client-cert %[ssl_c_s_dn]
  default_backend app
backend app
  server one 127.0.0.1:${backend}
`;
  const process = await start(processes, folder, core, "terminator", config);
  await untilAccepts(port, "HAProxy");
  return { port, process };
}

function tlsWords({ certificate, roots }: HaproxyTls): string {
  return `ssl crt ${certificate} ca-file ${roots} verify required alpn http/1.1`;
}

function start(
  processes: Processes,
  folder: string,
  core: number,
  name: string,
  config: string,
): Promise<Pinned> {
  const path = join(folder, `${name}.cfg`);
  writeFileSync(path, config, { mode: 0o600 });
  return processes.start(name, core, ["haproxy", "-db", "-q", "-f", path], false);
}
