/** The name server on its sockets, and what it asks of others. */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { createLog } from "../../base/log.ts";
import { nameTable } from "../../core/dns/name-table.ts";
import { shareSockets } from "../../kernel/shared-sockets.ts";
import { readFrames, writeFrame } from "../../rpc/dns-frames.ts";
import { decodeMessage } from "../../wire/dns/decode.ts";
import { encodeMessage } from "../../wire/dns/encode.ts";
import {
  type DnsMessage,
  type DnsRecord,
  recordTypes,
  standardQuery,
} from "../../wire/dns/message.ts";
import { type NameServer, type SharedSockets, serveNames } from "./server.ts";
import { query, show, table, view } from "./testdata/names.ts";
import { forwardTo, type Upstream } from "./upstream.ts";

const clock = { now: () => 0, sleep: async () => undefined };
const log = createLog(
  () => undefined,
  () => 0,
);

describe("on its sockets the name server", () => {
  test("answers over UDP and TCP, and cuts for UDP what only TCP can carry", async () => {
    await using server = await serve({ table: () => many });
    const udp = await overUdp(server, query("many.shop.svc.cluster.local", recordTypes.A));
    assert.equal(udp.truncated, true);
    const tcp = await overTcp(server, query("many.shop.svc.cluster.local", recordTypes.A));
    assert.equal(tcp.truncated, false);
    assert.equal(tcp.answers.length, 200);
  });

  test("answers rubbish with a format error, and answers with nothing", async () => {
    await using server = await serve({});
    const rubbish = Uint8Array.from([0, 9, 1, 0, 0, 5, 0, 0, 0, 0, 0, 0, 255]);
    assert.equal((await overUdp(server, rubbish)).responseCode, 1);
    const silent = overUdp(server, encodeMessage({ ...query("a", 1), isResponse: true }));
    const next = overUdp(server, query("cart.shop.svc.cluster.local", recordTypes.A));
    const first = await Promise.race([silent.then(() => "answered"), next.then(() => "silent")]);
    assert.equal(first, "silent");
  });

  test("without an upstream says no such name, so that a search list goes on", async () => {
    await using server = await serve({});
    const answer = await overUdp(server, query("example.com", recordTypes.A));
    assert.equal(answer.responseCode, 3);
  });

  test("forwards, follows aliases out of the cluster, and remembers", async () => {
    let asked = 0;
    await using outside = await standIn((name) => {
      asked++;
      return name === "api.bank.example" ? "192.0.2.80" : undefined;
    });
    const upstream = forwardTo([{ address: "127.0.0.1", port: outside.port }], clock);
    await using server = await serve({ upstream });
    for (let i = 0; i < 3; i++) {
      const answer = await overUdp(server, query("bank.shop.svc.cluster.local", recordTypes.A));
      assert.deepEqual(answer.answers.map(show), ["CNAME api.bank.example", "A 192.0.2.80"]);
    }
    assert.equal(asked, 1);
    const none = await overUdp(server, query("no.example", recordTypes.A));
    assert.equal(none.responseCode, 3);
  });

  test("asks the next upstream where one fails, and goes on asking the one that answers", async () => {
    let broken = 0;
    await using failing = await standIn(() => {
      broken++;
      return "fails";
    });
    await using working = await standIn(() => "192.0.2.80");
    const upstream = forwardTo([at(failing), at(working)], clock);
    await using server = await serve({ upstream });
    for (const name of ["one.example", "two.example", "three.example"]) {
      const answer = await overUdp(server, query(name, recordTypes.A));
      assert.deepEqual(answer.answers.map(show), ["A 192.0.2.80"]);
    }
    assert.equal(broken, 1);
  });

  test("does not remember long answers without end, of names that one pod asks for", async () => {
    let asked = 0;
    const text = {
      kind: "other",
      type: 16,
      class: 1,
      ttl: 60,
      bytes: new Uint8Array(60_000),
    } as const;
    await using outside = await standIn((name) => {
      asked++;
      return [{ ...text, name }];
    });
    const upstream = forwardTo([at(outside)], clock);
    const long = (i: number) => upstream.resolve({ name: `${i}.example`, type: 16, class: 1 });
    for (let i = 0; i < 160; i++) await long(i); // 9.6 MB
    assert.equal(asked, 160);
    assert.equal((await long(159)).by, "cache");
    assert.equal((await long(0)).by, "upstream");
  });

  test("is replaced by one that goes on with its sockets, and not one lookup is lost", async () => {
    let server = await serve({});
    const { port } = server;
    const ends: PromiseLike<void>[] = [];
    const question = query("cart.shop.svc.cluster.local", recordTypes.A);
    const stream = connect(port, "127.0.0.1");
    const withStream = 4; // the first goes on with it for 13 s, which a busy machine could need for all
    let streamed = 0;
    readFrames(stream, () => streamed++);
    const asked: Promise<DnsMessage>[] = [];
    for (let replacement = 0; replacement < 20; replacement++) {
      for (let i = 0; i < 20; i++) {
        asked.push(overUdp(server, question));
        if (i % 5 === 0) asked.push(overTcp(server, question));
        if (replacement < withStream) writeFrame(stream, encodeMessage(question));
        if (i % 4 === 0) await new Promise((done) => setImmediate(done));
      }
      const shared = shareSockets(process.pid, "127.0.0.1", port);
      assert.deepEqual(Object.keys(shared), ["udp", "tcp"]);
      const next = await serve({ shared });
      ends.push(server[Symbol.asyncDispose]());
      server = next;
      if (replacement + 1 !== withStream) continue;
      while (streamed < withStream * 20) await once(stream, "data");
      stream.end();
    }
    const answers = await Promise.all(asked);
    assert.equal(answers.filter(({ responseCode }) => responseCode === 0).length, 20 * 24);
    await Promise.all([...ends, server[Symbol.asyncDispose]()]);
  });

  test("does not keep answers without end for a client that asks over TCP and reads none", async () => {
    const name = "long.example";
    const text = { kind: "other", name, type: 16, class: 1, ttl: 0 } as const;
    const answers = [{ ...text, bytes: new Uint8Array(60_000) }];
    const message = {
      ...standardQuery(7, { name, type: 16, class: 1 }),
      isResponse: true,
      answers,
    };
    let seen = 0;
    const counted = () => {
      seen++;
      return table;
    };
    const upstream: Upstream = { resolve: async () => ({ message, by: "upstream" }) };
    await using server = await serve({ table: counted, upstream });
    const client = connect(server.port, "127.0.0.1");
    await once(client, "connect");
    let answered = 0;
    readFrames(client, () => answered++);
    client.pause();
    const asked = 200; // 12 MB of answers, more than sockets' buffers take
    for (let i = 0; i < asked; i++) writeFrame(client, encodeMessage(query(name, 16)));
    for (let before = 0, still = 0; still < 100; before = seen) {
      await new Promise((done) => setImmediate(done));
      still = seen > 0 && seen === before ? still + 1 : 0;
    }
    assert.ok(seen < asked, `${seen} of ${asked} questions taken`);
    client.resume();
    while (answered < asked) await once(client, "data");
    client.destroy();
  });

  test("answers server failure when the upstream is silent", async () => {
    const upstream: Upstream = { resolve: () => Promise.reject(new Error("silent")) };
    await using server = await serve({ upstream });
    const answer = await overUdp(server, query("example.com", recordTypes.A));
    assert.equal(answer.responseCode, 2);
  });
});

const many = nameTable({
  ...view,
  services: [
    {
      namespace: "shop",
      name: "many",
      ports: [
        {
          name: "http",
          protocol: "TCP",
          port: 80,
          endpoints: Array.from({ length: 200 }, (_, i) => ({
            address: `10.244.1.${i}`,
            port: 80,
          })),
        },
      ],
    },
  ],
});

function serve(options: {
  readonly table?: () => ReturnType<typeof nameTable>;
  readonly upstream?: Upstream;
  readonly shared?: SharedSockets;
}): Promise<NameServer> {
  return serveNames({ address: "127.0.0.1", port: 0, table: () => table, log, ...options });
}

function at(server: { readonly port: number }) {
  return { address: "127.0.0.1", port: server.port };
}

/** Another server's stand-in: addresses or records for names it knows, `fails` for a failure, no such name for others. */
async function standIn(
  known: (name: string) => string | readonly DnsRecord[] | undefined,
): Promise<AsyncDisposable & { readonly port: number }> {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, from) => {
    const asked = decodeMessage(bytes);
    const name = asked.questions[0]?.name ?? "";
    const found = known(name);
    const fails = found === "fails";
    const address = (text: string): DnsRecord => {
      return { kind: "A", name, class: 1, ttl: 60, address: text };
    };
    const records = typeof found === "string" ? [address(found)] : found;
    const answers = fails ? [] : (records ?? []);
    const responseCode = fails ? 2 : found === undefined ? 3 : 0;
    const reply = encodeMessage({ ...asked, isResponse: true, responseCode, answers });
    socket.send(reply, from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]: () => new Promise((done) => void socket.close(done)),
  };
}

async function overUdp(server: NameServer, asked: DnsMessage | Uint8Array): Promise<DnsMessage> {
  const socket = createSocket("udp4");
  socket.unref();
  socket.send(asked instanceof Uint8Array ? asked : encodeMessage(asked), server.port, "127.0.0.1");
  const [bytes] = await once(socket, "message");
  socket.close();
  return decodeMessage(bytes);
}

async function overTcp(server: NameServer, asked: DnsMessage): Promise<DnsMessage> {
  const socket = connect(server.port, "127.0.0.1");
  writeFrame(socket, encodeMessage(asked));
  const answer = await new Promise<DnsMessage>((resolve) => {
    readFrames(socket, (bytes) => resolve(decodeMessage(bytes)));
  });
  socket.destroy();
  return answer;
}
