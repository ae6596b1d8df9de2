/** Asks the name server of a node as pods do: from sockets in a pod's own namespace. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { inNetns } from "../../src/kernel/netns.ts";
import { decodeMessage } from "../../src/wire/dns/decode.ts";
import { encodeMessage } from "../../src/wire/dns/encode.ts";
import type { DnsMessage } from "../../src/wire/dns/message.ts";
import { runIn } from "./agent-node.ts";

export function nameOfPod(address: string): string {
  return `${address.replaceAll(".", "-")}.shop.pod.cluster.local`;
}

/** The answer that a pod gets over UDP, asking from its own namespace as resolvers do: until there is one. */
export async function ask(from: string, name: string): Promise<DnsMessage> {
  const script = `
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", (bytes) => { process.stdout.write(bytes.toString("hex")); process.exit(); });
    socket.on("error", () => {});
    const ask = () => socket.send(Buffer.from("${queryHex(name)}", "hex"));
    socket.connect(53, "169.254.1.1", () => { ask(); setInterval(ask, 100); });`;
  return decodeMessage(Buffer.from(await runIn(from, process.execPath, ["-e", script]), "hex"));
}

export interface Asking {
  readonly started: Promise<string>;
  /** Those that were never answered, by number. */
  readonly unanswered: Promise<number[]>;
  stop(): Promise<void>;
}

/**
 * Asks each 2 ms, once each, from a socket of its own as resolvers do, and tells which were never answered. No more wait
 * than the server's socket holds while it stands still: those would be lost by the asker's doing.
 */
export function askMany(from: string, name: string): Asking {
  const script = `
    const { createSocket } = require("node:dgram");
    const query = Buffer.from("${queryHex(name)}", "hex");
    const waiting = new Set();
    let asked = 0;
    const timer = setInterval(() => {
      if (waiting.size === 100) return;
      const number = asked++;
      const socket = createSocket("udp4");
      waiting.add(number);
      socket.on("error", () => {});
      socket.on("message", (bytes) => {
        if ((bytes[3] & 15) === 0) waiting.delete(number);
        socket.close();
        if (number === 0) process.stdout.write("started\\n");
      });
      socket.send(query, 53, "169.254.1.1");
    }, 2);
    process.stdin.on("end", () => {
      clearInterval(timer);
      const report = () => { process.stdout.write(JSON.stringify([...waiting]) + "\\n"); process.exit(); };
      setInterval(() => { if (waiting.size === 0) report(); }, 10);
      setTimeout(report, 10_000);
    }).resume();`;
  const child = inNetns(from, () =>
    spawn(process.execPath, ["-e", script], {
      stdio: ["pipe", "pipe", "inherit"],
      timeout: 20_000,
    }),
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => String((await lines.next()).value);
  const started = line();
  const unanswered = started.then(async () => JSON.parse(await line()) as number[]);
  unanswered.catch(() => undefined);
  return {
    started,
    unanswered,
    async stop() {
      child.stdin.end();
      await once(child, "close");
    },
  };
}

function queryHex(name: string): string {
  const query = encodeMessage({
    id: 7,
    isResponse: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    responseCode: 0,
    questions: [{ name, type: 1, class: 1 }],
    answers: [],
    authorities: [],
    additionals: [],
  });
  return Buffer.from(query).toString("hex");
}
