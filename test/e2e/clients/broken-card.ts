/**
 * A network card for host node-2 of a lab that has a usual fault: it fills in the checksums that the kernel leaves to it,
 * but not those inside of VXLAN, whose own it leaves out. (With one of its own, and no card that verifies it, a receiving
 * kernel takes what is inside for verified, too.)
 *
 * Started as a process in the wire's namespace it stands between the host's port and the bridge, and copies frames by
 * packet sockets: those hand out frames as the kernel made them, with checksums that are not done yet. What comes from
 * the bridge is finished there, by telling that link to leave nothing to hardware.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { EAGAIN, libc, MSG_DONTWAIT, SystemCallError } from "../../../src/kernel/ffi.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_ALL = 3;
const ethernetBytes = 14;
const vxlanPort = 4789;
const host = "port2";

/** Puts it in; disposing takes it out again. */
export async function startBrokenCard(lab: string): Promise<AsyncDisposable> {
  const wire = `heddle-${lab}-underlay`;
  const run = (netns: string, line: string) =>
    execFileSync("ip", ["netns", "exec", netns, ...line.split(" ")], { stdio: "pipe" });
  const node = `heddle-${lab}-node-2`;
  run(wire, "ip link add card type veth peer name slot");
  for (const line of [
    ...["card", "slot"].map((link) => `ip link set ${link} up`),
    `ip link set ${host} nomaster`,
    "ip link set slot master br0",
    "ethtool -K slot tx off tso off gso off",
  ]) {
    run(wire, line);
  }
  run(node, "ethtool -K eth0 tso off gso off");
  const words = ["netns", "exec", wire, process.execPath, import.meta.filename];
  const child: ChildProcess = spawn("ip", words, { stdio: ["pipe", "pipe", "inherit"] });
  if (child.stdout !== null) await once(child.stdout, "data");
  return {
    async [Symbol.asyncDispose]() {
      const ended = once(child, "close");
      child.stdin?.end();
      await ended;
      run(wire, `ip link set ${host} master br0`);
      run(wire, "ip link delete card");
      run(node, "ethtool -K eth0 tso on gso on");
    },
  };
}

/** Copies until standard input ends. */
function copyFrames(): void {
  const outer = openPacketSocket("card");
  const inner = openPacketSocket(host);
  const frame = new Uint8Array(65_536);
  const turn = (): void => {
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      for (let length = received(from, frame); length > 0; length = received(from, frame)) {
        const bytes = frame.subarray(0, length);
        if (from === inner) finishOuterChecksum(bytes);
        trySend(to, bytes);
      }
    }
  };
  setInterval(turn, 1);
  process.stdin.on("end", () => process.exit()).resume();
  process.stdout.write("ready\n");
}

function openPacketSocket(link: string): number {
  const fd = libc().socket(AF_PACKET, SOCK_RAW, 0);
  const index = Number(readFileSync(`/sys/class/net/${link}/ifindex`, "latin1"));
  // `struct sockaddr_ll`: family, protocol in network byte order, index of the link.
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, ETH_P_ALL);
  view.setInt32(4, index, true);
  libc().bind(fd, address);
  return fd;
}

/** 0 where there is nothing. */
function received(fd: number, frame: Uint8Array): number {
  try {
    return libc().recv(fd, frame, MSG_DONTWAIT);
  } catch (error) {
    if (error instanceof SystemCallError && error.errno === EAGAIN) return 0;
    throw error;
  }
}

/** A frame that the other side does not take is lost, as on a wire. */
function trySend(fd: number, frame: Uint8Array): void {
  try {
    libc().send(fd, frame);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
  }
}

/** Of TCP and UDP over IPv4, whatever they carry: what is inside of VXLAN is left as it is, which is the fault. */
function finishOuterChecksum(frame: Uint8Array): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < ethernetBytes + 20 || view.getUint16(12) !== 0x0800) return;
  const protocol = frame[ethernetBytes + 9];
  const start = ethernetBytes + ((frame[ethernetBytes] ?? 0) & 15) * 4;
  const end = ethernetBytes + view.getUint16(ethernetBytes + 2);
  if ((protocol !== 6 && protocol !== 17) || end > frame.length || end < start + 8) return;
  const place = start + (protocol === 6 ? 16 : 6);
  view.setUint16(place, 0);
  if (protocol === 17 && view.getUint16(start + 2) === vxlanPort) return; // none
  let sum = protocol + end - start;
  for (let at = ethernetBytes + 12; at < ethernetBytes + 20; at += 2) sum += view.getUint16(at);
  for (let at = start; at < end; at += 2) {
    sum += at + 1 < end ? view.getUint16(at) : (frame[at] ?? 0) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(place, ~sum & 0xffff || 0xffff);
}

if (process.argv[1] === import.meta.filename) copyFrames();
