/**
 * What the kernel counts of packets that it threw away, and of tracked connections: a few files below /proc/net.
 *
 * All are of the network namespace of the process's main thread, as it was left: a visit elsewhere is over by the time
 * that anybody reads. Counters that a kernel does not have are 0.
 */

import { readFileSync } from "node:fs";
import type { ConnectionSample, CounterIncreases } from "../model/network-check.ts";
import { readSysctl } from "./sysctl.ts";

/** Since the namespace was made. */
export function readCounters(): CounterIncreases {
  const snmp = pairedLines(read("snmp"));
  const extended = pairedLines(read("netstat"));
  return {
    udpChecksumErrors: snmp("Udp", "InCsumErrors"),
    tcpChecksumErrors: snmp("Tcp", "InCsumErrors"),
    icmpChecksumErrors: snmp("Icmp", "InCsumErrors"),
    invalidPackets: connectionCounter("invalid"),
    reversePathDrops: extended("TcpExt", "IPReversePathFilter"),
  };
}

/** Undefined where connections are not tracked. */
export function readConnectionCount(): Omit<ConnectionSample, "at"> | undefined {
  const count = readSysctl("net.netfilter.nf_conntrack_count");
  return count === undefined ? undefined : { count: Number(count) };
}

export interface ConnectionLosses {
  readonly max: number;
  readonly dropped: number;
  readonly insertFailed: number;
  readonly earlyDropped: number;
}

/** Undefined where connections are not tracked. */
export function readConnectionLosses(): ConnectionLosses | undefined {
  const max = readSysctl("net.netfilter.nf_conntrack_max");
  if (max === undefined) return undefined;
  return {
    max: Number(max),
    dropped: connectionCounter("drop"),
    insertFailed: connectionCounter("insert_failed"),
    earlyDropped: connectionCounter("early_drop"),
  };
}

/** A line of names, then one of hexadecimal numbers for each processor. */
function connectionCounter(name: string): number {
  const [head = "", ...processors] = read("stat/nf_conntrack").trim().split("\n");
  const column = head.split(/\s+/).indexOf(name);
  return processors.reduce((sum, line) => {
    const value = Number.parseInt(line.split(/\s+/)[column] ?? "", 16);
    return sum + (Number.isNaN(value) ? 0 : value);
  }, 0);
}

function read(file: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${file}`, "latin1");
  } catch {
    return "";
  }
}

/** Files of two lines each: names, then values, after the same word. */
function pairedLines(text: string): (protocol: string, name: string) => number {
  const lines = text.split("\n").map((line) => line.split(" "));
  return (protocol, name) => {
    const [names, values] = lines.filter(([word]) => word === `${protocol}:`);
    const value = Number(values?.[names?.indexOf(name) ?? -1]);
    return Number.isNaN(value) ? 0 : value;
  };
}
