/** Applications, clients and sidecars of one test, on loopback, closed with it. */

import { once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
  type ServerResponse,
} from "node:http";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from "node:net";
import type { ProxyConfig, VirtualHost } from "../../model/proxy-config.ts";
import { renderText } from "../../telemetry/exposition.ts";
import type { ProxySnapshot } from "../config/source.ts";
import type { Sidecar } from "../sidecar.ts";
import {
  cluster,
  endpoint,
  forward,
  outbound,
  passthrough,
  route,
  type TestSidecarOptions,
  testSidecar,
  virtualHost,
} from "./mesh.ts";

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

export class Harness implements AsyncDisposable {
  readonly #closing: (() => unknown)[] = [];

  /** Something more to close with the test; last come, first closed. */
  atEnd(close: () => unknown): void {
    this.#closing.push(close);
  }

  /** An HTTP application; answers its port. */
  async app(
    handle: (request: IncomingMessage, response: ServerResponse) => void,
    onConnection: () => void = () => {},
  ): Promise<number> {
    const server = createServer(handle);
    server.on("connection", onConnection);
    server.keepAliveTimeout = 60_000;
    await once(server.listen(0, "127.0.0.1"), "listening");
    this.#closing.push(() => {
      server.close();
      server.closeAllConnections();
    });
    return portOf(server);
  }

  /** An application on raw sockets; answers its port. */
  async tcpApp(onSocket: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
      onSocket(socket);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    this.#closing.push(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    return portOf(server);
  }

  /** A port that refuses connections: one end of a connection has it, so nobody else can come to listen there. */
  async deadPort(): Promise<number> {
    const taker = connect(await this.tcpApp(() => {}), "127.0.0.1");
    await once(taker, "connect");
    this.#closing.push(() => taker.destroy());
    return taker.localPort ?? 0;
  }

  async sidecar(
    options: TestSidecarOptions,
    config: Partial<ProxyConfig>,
    more: Partial<ProxySnapshot> = {},
  ): Promise<Sidecar> {
    const sidecar = testSidecar(options);
    this.#closing.push(() => sidecar.drain());
    await sidecar.apply(snapshot(config, more));
    return sidecar;
  }

  /** An outbound sidecar with these virtual hosts; answers it and the port to send requests to. */
  async outbound(
    virtualHosts: readonly VirtualHost[],
    config: Partial<ProxyConfig>,
    options: Partial<TestSidecarOptions> = {},
  ): Promise<{ readonly sidecar: Sidecar; readonly port: number }> {
    const destination = () => ({ address: "10.96.0.1", port: 80 });
    const sidecar = await this.sidecar(
      { destination, ...options },
      {
        ...config,
        ...outbound(virtualHosts, [], { accessLog: true }),
        clusters: [...(config.clusters ?? []), passthrough],
      },
    );
    return { sidecar, port: sidecar.portOf("virtualOutbound") ?? 0 };
  }

  /** An outbound sidecar that sends every host to these ports. */
  toPorts(
    ports: readonly number[],
    options: Partial<TestSidecarOptions> = {},
  ): Promise<{ readonly sidecar: Sidecar; readonly port: number }> {
    return this.outbound(
      [virtualHost(["*"], [route(forward("app"))])],
      {
        clusters: [cluster("app")],
        endpoints: [{ cluster: "app", endpoints: ports.map((port) => endpoint(port)) }],
      },
      options,
    );
  }

  /** A connection of bytes; `said` resolves once what was received satisfies the test. */
  async raw(port: number): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    this.#closing.push(() => socket.destroy());
    return new RawClient(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
  }
}

export class RawClient {
  readonly socket: Socket;
  text = "";
  hasEnded = false;
  isClosed = false;
  #check: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.text += bytes.toString("latin1");
      this.#check();
    });
    socket.on("end", () => {
      this.hasEnded = true;
      this.#check();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
      this.#check();
    });
  }

  send(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  /** Resolves with everything received once `isEnough`, or once the other side has ended. */
  async until(isEnough: (text: string) => boolean): Promise<string> {
    while (!isEnough(this.text) && !this.hasEnded && !this.isClosed) {
      await new Promise<void>((resolve) => {
        this.#check = resolve;
      });
    }
    return this.text;
  }

  untilEnd(): Promise<string> {
    return this.until(() => false);
  }
}

export function snapshot(
  config: Partial<ProxyConfig>,
  more: Partial<ProxySnapshot> = {},
): ProxySnapshot {
  return {
    version: "1",
    secrets: [],
    ...more,
    config: { listeners: [], routes: [], clusters: [], endpoints: [], ...config },
  };
}

/** One request on a connection of its own. */
export function request(
  port: number,
  options: RequestOptions = {},
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      {
        host: "127.0.0.1",
        port,
        agent: false,
        ...options,
        headers: { host: "cart", ...options.headers },
      },
      (response) => {
        let text = "";
        response.setEncoding("latin1");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

/** The value of one series; the labels given must be among its labels. */
export function metric(
  sidecar: Sidecar,
  name: string,
  labels: Readonly<Record<string, string>>,
): number {
  let sum = 0;
  for (const line of renderText(sidecar.runtime.environment.metrics).split("\n")) {
    if (!line.startsWith(`${name}{`)) continue;
    const hasAll = Object.entries(labels).every(([key, value]) =>
      line.includes(`${key}="${value}"`),
    );
    if (hasAll) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
