/** PROXY headers: read where a listener is told to, written where a cluster is. */

import assert from "node:assert/strict";
import type { AddressInfo, Socket } from "node:net";
import { describe, test } from "node:test";
import type { Cluster, FilterChain, Listener, Rbac, RbacPolicy } from "../../model/proxy-config.ts";
import { proxyHeader, readProxyHeader } from "../../wire/proxy-protocol/header.ts";
import { Harness, request } from "../testing/harness.ts";
import { http2App } from "../testing/http2.ts";
import { cluster, endpoint, forward, route, virtual, virtualHost } from "../testing/mesh.ts";

const client = { address: "203.0.113.7", port: 4_711 };
const header = Buffer.from(
  proxyHeader("v2", { source: client, destination: { address: "192.0.2.1", port: 443 } }),
).toString("latin1");

/** HTTP, about which a policy decides by the client's address. */
function decidedBy(action: Rbac["action"], cidr: string): FilterChain {
  const policies: readonly RbacPolicy[] = [
    {
      name: "by-address",
      permissions: [{ kind: "any" }],
      principals: [{ kind: "source-ip", cidr }],
    },
  ];
  const virtualHosts = [virtualHost(["*"], [route(forward("app"))])];
  return {
    name: "http",
    match: { transport: "raw", applicationProtocols: ["http/1.1", "h2c"] },
    rbac: [],
    filter: {
      kind: "http",
      statPrefix: "http",
      routes: { kind: "inline", config: { name: "r", virtualHosts } },
      rbac: [{ action, policies }],
    },
  };
}
/** Only who the header speaks of may ask. */
const http = decidedBy("allow", `${client.address}/32`);
const bytes: FilterChain = {
  name: "bytes",
  match: {},
  rbac: [],
  filter: { kind: "tcp", statPrefix: "app", clusters: [{ cluster: "app", weight: 1 }] },
};

async function listening(
  harness: Harness,
  app: number,
  listener: Partial<Listener>,
  settings: Partial<Cluster> = {},
) {
  const chains = listener.filterChains ?? [http];
  const sidecar = await harness.sidecar(
    { destination: () => ({ address: "192.0.2.1", port: 443 }) },
    {
      listeners: [{ ...virtual("edge", "outbound", chains), ...listener }],
      clusters: [cluster("app", settings)],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    },
  );
  return sidecar.portOf("edge") ?? 0;
}

const get = "GET / HTTP/1.1\r\nhost: cart\r\nconnection: close\r\n\r\n";

describe("a listener that reads PROXY headers", () => {
  test("takes the client for whom the header speaks, in whatever pieces it comes", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const port = await listening(harness, app, { proxyProtocol: "required" });
    const text = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n";
    for (const start of [text, header]) {
      const whole = await harness.raw(port);
      assert.match(await whole.send(start + get).untilEnd(), /^HTTP\/1.1 200/);
      const pieces = await harness.raw(port);
      for (const piece of start) pieces.send(piece);
      assert.match(await pieces.send(get).untilEnd(), /^HTTP\/1.1 200/);
    }
    const other = await harness.raw(port);
    const start = "PROXY TCP4 203.0.113.8 192.0.2.1 4711 443\r\n";
    assert.match(await other.send(start + get).untilEnd(), /^HTTP\/1.1 403/);
  });

  test("refuses a client by its address of IPv6, which a policy denies", async () => {
    await using harness = new Harness();
    const app = await harness.app((_, res) => res.end("ok"));
    const filterChains = [decidedBy("deny", "2001:db8::/32")];
    const port = await listening(harness, app, { proxyProtocol: "required", filterChains });
    for (const [address, status] of [
      ["2001:db8::7", 403],
      ["2001:db9::7", 200],
      ["::", 200],
    ] as const) {
      const raw = await harness.raw(port);
      const start = `PROXY TCP6 ${address} 2001:db8::1 4711 443\r\n`;
      assert.match(await raw.send(start + get).untilEnd(), new RegExp(`^HTTP/1.1 ${status}`));
    }
  });

  test("closes what has none, or a broken one, and takes those without where they are optional", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => socket.pipe(socket));
    const port = await listening(harness, app, {
      proxyProtocol: "required",
      filterChains: [bytes],
    });
    for (const start of ["hello", "PROXY TCP4 nobody\r\nhello", "PROXY TCP9\r\n"]) {
      assert.equal(await (await harness.raw(port)).send(start).untilEnd(), "");
    }
    const lenient = await listening(harness, app, {
      proxyProtocol: "optional",
      filterChains: [bytes],
    });
    for (const start of ["hello", `${header}hello`]) {
      const raw = await harness.raw(lenient);
      assert.equal(await raw.send(start).until((text) => text.length >= 5), "hello");
    }
    const broken = await harness.raw(lenient);
    assert.equal(await broken.send("PROXY TCP9\r\n").untilEnd(), "");
  });

  test("lets a server speak first behind a header", async () => {
    await using harness = new Harness();
    const app = await harness.tcpApp((socket) => socket.write("welcome"));
    const port = await listening(harness, app, {
      proxyProtocol: "required",
      filterChains: [bytes],
    });
    const raw = await harness.raw(port);
    assert.equal(await raw.send(header).until((text) => text === "welcome"), "welcome");
  });
});

/** An application behind PROXY headers, which answers every request with the address that it was told. */
async function toldApp(harness: Harness) {
  const told: string[] = [];
  const port = await harness.tcpApp((socket: Socket) => {
    let received = Buffer.alloc(0);
    let isTold = false;
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const found = isTold ? undefined : readProxyHeader(received);
      if (found?.kind === "header") {
        isTold = true;
        told.push(`${found.source?.address}:${found.source?.port}`);
        received = received.subarray(found.length);
      }
      if (isTold && received.includes("\r\n\r\n")) {
        received = Buffer.alloc(0);
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      }
    });
    socket.on("end", () => socket.end());
  });
  return { port, told };
}

describe("a cluster that writes PROXY headers", () => {
  for (const version of ["v1", "v2"] as const) {
    test(`tells each connection's own client, and shares none between them (${version})`, async () => {
      await using harness = new Harness();
      const { port: app, told } = await toldApp(harness);
      const settings = { proxyProtocol: version };
      const { port } = await harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
        clusters: [cluster("app", settings)],
        endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
      });
      const locals: string[] = [];
      for (let i = 0; i < 3; i++) {
        const raw = await harness.raw(port);
        locals.push(`127.0.0.1:${(raw.socket.address() as AddressInfo).port}`);
        assert.match(await raw.send(get).untilEnd(), /^HTTP\/1.1 200/);
      }
      assert.deepEqual(told, locals);
      const tcp = await listening(harness, app, { filterChains: [bytes] }, settings);
      const raw = await harness.raw(tcp);
      const local = `127.0.0.1:${(raw.socket.address() as AddressInfo).port}`;
      await raw.send(get).until((text) => text.endsWith("ok"));
      assert.equal(told.at(-1), local);
    });
  }

  test("passes on whom it was told of itself", async () => {
    await using harness = new Harness();
    const { port: app, told } = await toldApp(harness);
    const settings = { proxyProtocol: "v2" as const };
    const port = await listening(harness, app, { proxyProtocol: "required" }, settings);
    const raw = await harness.raw(port);
    assert.match(await raw.send(header + get).untilEnd(), /^HTTP\/1.1 200/);
    assert.deepEqual(told, ["203.0.113.7:4711"]);
  });

  test("speaks for itself where one connection of HTTP/2 carries many", async () => {
    await using harness = new Harness();
    const { port: inner } = await http2App(harness, (stream) => {
      stream.respond({ ":status": 200 });
      stream.end("framed");
    });
    // In front of the application, whatever the header says is taken off.
    const app = await listening(harness, inner, {
      proxyProtocol: "required",
      filterChains: [bytes],
    });
    const { port } = await harness.outbound([virtualHost(["*"], [route(forward("app"))])], {
      clusters: [cluster("app", { proxyProtocol: "v1", protocol: "http/2" })],
      endpoints: [{ cluster: "app", endpoints: [endpoint(app)] }],
    });
    for (let i = 0; i < 3; i++) assert.equal((await request(port)).body, "framed");
  });
});
