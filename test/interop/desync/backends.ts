/**
 * Servers that say which requests they saw: nginx, HAProxy and Apache from packages, and Node.
 *
 * Each writes a line per request to a log of its own, as it understood it: method, target, host, status. HAProxy has a
 * Node server behind it, as it would have.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { ownPort } from "../../own-port.ts";

/** One request, as a server understood it. */
export interface Seen {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly status: number;
  /** Its raw field lines, where the server tells. */
  readonly fields?: readonly (readonly [name: string, value: string])[];
}

export interface Backend extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  /** Everything seen so far, once the request with this path is among it. */
  seen(last: string): Promise<readonly Seen[]>;
}

export const programs: Readonly<Record<string, string>> = {
  nginx: "/usr/sbin/nginx",
  haproxy: "/usr/sbin/haproxy",
  apache: "/usr/sbin/apache2",
};

export function missingPrograms(): readonly string[] {
  return Object.values(programs).filter((path) => !existsSync(path));
}

export async function nodeBackend(): Promise<Backend> {
  const all: Seen[] = [];
  const server = createServer((request, response) => {
    all.push(describe(request));
    request.resume();
    request.on("end", () => response.end("ok"));
    request.on("error", () => {});
  });
  server.keepAliveTimeout = 60_000;
  server.on("clientError", (error, socket) => {
    // A connection that ends or breaks is no message.
    const isGone =
      "code" in error && ["ECONNRESET", "HPE_INVALID_EOF_STATE"].includes(`${error.code}`);
    if (!isGone) all.push({ method: "", target: error.message, host: "", status: 400 });
    socket.destroy();
  });
  server.on("connect", (request, socket) => {
    all.push(describe(request));
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    name: "node",
    port: (server.address() as AddressInfo).port,
    seen: (last) => until(() => all, last),
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function describe(request: IncomingMessage): Seen {
  const { rawHeaders } = request;
  const fields: [string, string][] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    fields.push([rawHeaders[i] ?? "", rawHeaders[i + 1] ?? ""]);
  }
  const host = request.headers.host ?? "";
  return { method: request.method ?? "", target: request.url ?? "", host, status: 200, fields };
}

export function nginxBackend(): Promise<Backend> {
  return program("nginx", (port, folder) => ({
    file: "nginx.conf",
    text: `
daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/errors;
events { worker_connections 512; }
http {
  log_format seen escape=none "$request_method\t$request_uri\t$http_host\t$status";
  access_log ${folder}/log seen;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  keepalive_requests 1000000;
  server { listen 127.0.0.1:${port}; location / { return 200 "ok"; } }
}`,
    args: ["-p", folder, "-e", `${folder}/errors`, "-c", `${folder}/nginx.conf`],
    parse: (line) => {
      const [method = "", target = "", host = "", status = ""] = line.split("\t");
      return { method, target, host, status: Number(status) };
    },
  }));
}

export async function haproxyBackend(): Promise<Backend> {
  const behind = await nodeBackend();
  const front = await program("haproxy", (port, folder) => ({
    file: "haproxy.cfg",
    text: `
global
  log stdout format raw local0
  maxconn 512
defaults
  mode http
  log global
  option http-keep-alive
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:${port}
  capture request header Host len 200
  log-format "%HM\t%HU\t%[capture.req.hdr(0)]\t%ST"
  default_backend back
backend back
  http-reuse always
  server node 127.0.0.1:${behind.port}
`,
    args: ["-f", `${folder}/haproxy.cfg`, "-db"],
    parse: (line) => {
      const [method = "", target = "", host = "", status = ""] = line
        .replace(/#([0-9A-F]{2})/g, (_, hex: string) => character(hex))
        .split("\t");
      return { method, target, host: host === "-" ? "" : host, status: Number(status) };
    },
  }));
  return {
    ...front,
    [Symbol.asyncDispose]: async () => {
      await front[Symbol.asyncDispose]();
      await behind[Symbol.asyncDispose]();
    },
  };
}

export function apacheBackend(): Promise<Backend> {
  const modules = "/usr/lib/apache2/modules";
  return program("apache", (port, folder) => {
    mkdirSync(`${folder}/root`);
    return {
      file: "apache.conf",
      text: `
ServerRoot ${folder}
PidFile ${folder}/pid
Mutex file:${folder} default
LoadModule mpm_event_module ${modules}/mod_mpm_event.so
LoadModule authz_core_module ${modules}/mod_authz_core.so
User nobody
Group nogroup
Listen 127.0.0.1:${port}
ServerName a
ErrorLog ${folder}/errors
LogFormat "%r\t%{Host}i\t%>s" seen
CustomLog ${folder}/log seen
DocumentRoot ${folder}/root
AllowEncodedSlashes On
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
StartServers 1
ThreadsPerChild 64
ServerLimit 1
MaxRequestWorkers 64
AsyncRequestWorkerFactor 8
`,
      args: ["-f", `${folder}/apache.conf`, "-DFOREGROUND"],
      parse: (line) => {
        const [request = "", host = "", status = ""] = line.split("\t").map(unescapeApache);
        const [method = "", target = ""] = request.split(" ");
        return { method, target, host: host === "-" ? "" : host, status: Number(status) };
      },
    };
  });
}

function unescapeApache(text: string): string {
  return text.replace(/\\(x([0-9a-f]{2})|.)/g, (_, all: string, hex: string | undefined) =>
    hex === undefined ? all : character(hex),
  );
}

function character(hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}

interface Setup {
  readonly file: string;
  readonly text: string;
  readonly args: readonly string[];
  readonly parse: (line: string) => Seen;
}

async function program(
  name: string,
  setUp: (port: number, folder: string) => Setup,
): Promise<Backend> {
  const folder = mkdtempSync(join(tmpdir(), `heddle-${name}-`));
  const port = await ownPort();
  const { file, text, args, parse } = setUp(port, folder);
  writeFileSync(join(folder, file), text);
  let output = "";
  const child = spawn(programs[name] ?? name, args, { stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.on("data", (bytes: Buffer) => {
    output += bytes.toString("latin1");
  });
  let errors = "";
  child.stderr.on("data", (bytes: Buffer) => {
    errors += bytes.toString("latin1");
  });
  await listening(port, child, () => errors);
  const log = join(folder, "log");
  const lines = () => (existsSync(log) ? readFileSync(log, "latin1") : output).split("\n");
  // Whoever watches the port opens a connection that says nothing; some log it.
  const isRequest = (seen: Seen) =>
    !(seen.status === 0 || (seen.method === "<BADREQ>" && seen.status === 408));
  return {
    name,
    port,
    seen: (last) =>
      until(
        () =>
          lines()
            .filter((line) => line !== "")
            .map(parse)
            .filter(isRequest),
        last,
      ),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      if (child.exitCode === null) await new Promise((resolve) => child.once("exit", resolve));
      child.stdout.destroy();
      child.stderr.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Logs are written after answers: polls until the last request stands there. */
async function until(seen: () => readonly Seen[], last: string): Promise<readonly Seen[]> {
  for (let i = 0; i < 200; i++) {
    const all = seen();
    if (all.some(({ target }) => target === last)) return all;
    await wait(25);
  }
  throw new Error(`the request for ${last} was not logged within 5 s`);
}

async function listening(port: number, child: ChildProcess, errors: () => string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${errors()}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (isOpen) return;
    await wait(25);
  }
  throw new Error(`nothing listens on ${port} after 10 s: ${errors()}`);
}
