/** Packets on a link of the lab, as tcpdump writes them: raw bytes to search, and a count. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Capture {
  /** Ends the capture and gives the whole file. */
  stop(): Promise<Buffer>;
}

/** Starts tcpdump inside a network namespace; resolves when it is listening. */
export async function capture(netns: string, link: string, ...filter: string[]): Promise<Capture> {
  const folder = await mkdtemp(join(tmpdir(), "heddle-capture-"));
  const file = join(folder, "packets.pcap");
  const words = [
    "netns",
    "exec",
    netns,
    "tcpdump",
    "-i",
    link,
    "-U",
    "--immediate-mode", // else packets of the last second are still in the ring when the capture ends
    "-Z",
    "root",
    "-w",
    file,
    ...filter,
  ];
  const child = spawn("ip", words, { stdio: ["ignore", "ignore", "pipe"] });
  const closed = once(child, "close");
  await new Promise<void>((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("listening on")) resolve();
    });
    closed.then(() => reject(new Error(`tcpdump on ${link} in ${netns}: ${said}`)));
  });
  return {
    async stop() {
      child.kill("SIGINT");
      await closed;
      const bytes = await readFile(file);
      await rm(folder, { recursive: true });
      return bytes;
    },
  };
}

/** Number of packets in a capture file: 24 bytes of header, then records of 16 bytes and their data. */
export function packetCount(pcap: Buffer): number {
  let count = 0;
  for (let at = 24; at + 16 <= pcap.length; at += 16 + pcap.readUInt32LE(at + 8)) count++;
  return count;
}

/** Source addresses of the packets inside VXLAN packets captured on an Ethernet link. */
export function overlaySources(pcap: Buffer): Set<string> {
  // Outer Ethernet 14, IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14; the source stands 12 bytes into the inner header.
  const innerHeader = 64;
  const found = new Set<string>();
  for (let at = 24; at + 16 <= pcap.length; at += 16 + pcap.readUInt32LE(at + 8)) {
    const packet = pcap.subarray(at + 16, at + 16 + pcap.readUInt32LE(at + 8));
    if (packet.length < innerHeader + 20 || packet.readUInt16BE(innerHeader - 2) !== 0x0800)
      continue;
    found.add(packet.subarray(innerHeader + 12, innerHeader + 16).join("."));
  }
  return found;
}
