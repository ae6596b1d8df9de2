/** Checks of the network out of JSON: what the server orders, what agents have seen. Same rules as parse.ts. */

import {
  type CheckOrder,
  type CheckPeer,
  type CheckProgress,
  type ConnectionTable,
  type ForeignDrop,
  type HeardProbes,
  type LookupPairs,
  type LookupTries,
  type NameLookups,
  type NodeEvidence,
  type PathProbe,
  type ReversePath,
  type SettingDrift,
  trafficNames,
} from "../../model/network-check.ts";
import { amount, flag, list, oneOf, record, text, wrong } from "./fields.ts";

const maxPeers = 1_000;
const maxDrops = 200;
const maxSentences = 200;
const maxSentence = 2_000;
const maxSamples = 600;
const ways = ["underlay", "overlay"] as const;

export function checkOrder(value: unknown, path: string): CheckOrder {
  const at = record(value, path);
  return {
    id: checkId(at["id"], `${path}.id`),
    phase: oneOf(at["phase"], `${path}.phase`, ["prepare", "probe", "conclude"]),
    peers: list(at["peers"], `${path}.peers`, maxPeers, peer),
  };
}

export function checkProgress(value: unknown, path: string): CheckProgress {
  const at = record(value, path);
  const check = checkId(at["check"], `${path}.check`);
  const phase = oneOf(at["phase"], `${path}.phase`, ["prepared", "probed", "concluded"]);
  switch (phase) {
    case "prepared":
      return { check, phase, port: amount(at["port"], `${path}.port`) };
    case "probed":
      return { check, phase };
    case "concluded":
      return { check, phase, evidence: nodeEvidence(at["evidence"], `${path}.evidence`) };
  }
}

function checkId(value: unknown, path: string): string {
  const id = text(value, path);
  if (!/^[0-9a-f]{8}$/.test(id)) throw wrong(path, "eight hexadecimal digits", value);
  return id;
}

function peer(value: unknown, path: string): CheckPeer {
  const at = record(value, path);
  return { node: text(at["node"], `${path}.node`), port: amount(at["port"], `${path}.port`) };
}

function nodeEvidence(value: unknown, path: string): NodeEvidence {
  const at = record(value, path);
  const counters = record(at["counters"], `${path}.counters`);
  const counter = (name: string) => amount(counters[name], `${path}.counters.${name}`);
  const { refused, podLinks, hairpinLost, names, connections } = at;
  return {
    probes: list(at["probes"], `${path}.probes`, 2 * maxPeers, pathProbe),
    heard: list(at["heard"], `${path}.heard`, 2 * maxPeers, heardProbes),
    counters: {
      udpChecksumErrors: counter("udpChecksumErrors"),
      tcpChecksumErrors: counter("tcpChecksumErrors"),
      icmpChecksumErrors: counter("icmpChecksumErrors"),
      invalidPackets: counter("invalidPackets"),
      reversePathDrops: counter("reversePathDrops"),
    },
    reversePaths: list(at["reversePaths"], `${path}.reversePaths`, 2, reversePath),
    drops: list(at["drops"], `${path}.drops`, maxDrops, foreignDrop),
    unread: list(at["unread"], `${path}.unread`, maxSentences, sentence),
    ruleset: list(at["ruleset"], `${path}.ruleset`, maxSentences, sentence),
    settings: list(at["settings"], `${path}.settings`, maxSentences, settingDrift),
    ...(refused === undefined ? {} : { refused: sentence(refused, `${path}.refused`) }),
    ...(podLinks === undefined
      ? {}
      : { podLinks: list(podLinks, `${path}.podLinks`, maxSentences, sentence) }),
    ...(hairpinLost === undefined
      ? {}
      : { hairpinLost: list(hairpinLost, `${path}.hairpinLost`, maxSentences, sentence) }),
    ...(names === undefined ? {} : { names: nameLookups(names, `${path}.names`) }),
    ...(connections === undefined
      ? {}
      : { connections: connectionTable(connections, `${path}.connections`) }),
    agentSocket: text(at["agentSocket"], `${path}.agentSocket`),
  };
}

function sentence(value: unknown, path: string): string {
  return text(value, path, maxSentence);
}

function pathProbe(value: unknown, path: string): PathProbe {
  const at = record(value, path);
  const word = (name: string) => text(at[name], `${path}.${name}`);
  const tries = (name: string) => {
    const inside = record(at[name], `${path}.${name}`);
    const number = (part: string) => amount(inside[part], `${path}.${name}.${part}`);
    return { inside, sent: number("sent"), answered: number("answered") };
  };
  const small = tries("small");
  const full = tries("full");
  const { unsent } = at;
  return {
    peer: word("peer"),
    way: oneOf(at["way"], `${path}.way`, ways),
    from: word("from"),
    to: word("to"),
    link: word("link"),
    small: { sent: small.sent, answered: small.answered },
    full: {
      sent: full.sent,
      answered: full.answered,
      bytes: amount(full.inside["bytes"], `${path}.full.bytes`),
    },
    ...optionalAmount(at, "largestBytes", path),
    ...optionalAmount(at, "toldBytes", path),
    ...optionalAmount(at, "roundTripMs", path),
    datagrams: amount(at["datagrams"], `${path}.datagrams`),
    ...(unsent === undefined ? {} : { unsent: sentence(unsent, `${path}.unsent`) }),
  };
}

function optionalAmount<N extends string>(
  at: Readonly<Record<string, unknown>>,
  name: N,
  path: string,
): { readonly [name in N]?: number } {
  const value = at[name];
  if (value === undefined) return {};
  return { [name]: amount(value, `${path}.${name}`) } as { readonly [name in N]: number };
}

function heardProbes(value: unknown, path: string): HeardProbes {
  const at = record(value, path);
  const number = (name: string) => amount(at[name], `${path}.${name}`);
  return {
    from: text(at["from"], `${path}.from`),
    way: oneOf(at["way"], `${path}.way`, ways),
    echoes: number("echoes"),
    largestBytes: number("largestBytes"),
    datagrams: number("datagrams"),
  };
}

function reversePath(value: unknown, path: string): ReversePath {
  const at = record(value, path);
  return {
    way: oneOf(at["way"], `${path}.way`, ways),
    link: text(at["link"], `${path}.link`),
    filter: amount(at["filter"], `${path}.filter`),
  };
}

function foreignDrop(value: unknown, path: string): ForeignDrop {
  const at = record(value, path);
  const word = (name: string) => text(at[name], `${path}.${name}`);
  const { inChain, rule, device } = at;
  return {
    traffic: oneOf(at["traffic"], `${path}.traffic`, trafficNames),
    tool: oneOf(at["tool"], `${path}.tool`, ["nft", "iptables", "iptables-legacy"]),
    family: word("family"),
    table: word("table"),
    chain: word("chain"),
    hook: word("hook"),
    isCertain: flag(at["isCertain"], `${path}.isCertain`),
    ...(inChain === undefined ? {} : { inChain: text(inChain, `${path}.inChain`) }),
    ...(rule === undefined ? {} : { rule: sentence(rule, `${path}.rule`) }),
    ...(device === undefined ? {} : { device: text(device, `${path}.device`) }),
    ...optionalAmount(at, "port", path),
    peers: list(at["peers"], `${path}.peers`, maxPeers, text),
  };
}

function settingDrift(value: unknown, path: string): SettingDrift {
  const at = record(value, path);
  const { found } = at;
  return {
    key: text(at["key"], `${path}.key`),
    ...(found === undefined ? {} : { found: text(found, `${path}.found`) }),
    wanted: text(at["wanted"], `${path}.wanted`),
  };
}

function nameLookups(value: unknown, path: string): NameLookups {
  const at = record(value, path);
  const { outside } = at;
  return {
    server: text(at["server"], `${path}.server`),
    ...optionalAmount(at, "pid", path),
    cluster: lookupPairs(at["cluster"], `${path}.cluster`),
    ...(outside === undefined ? {} : { outside: lookupPairs(outside, `${path}.outside`) }),
  };
}

function lookupPairs(value: unknown, path: string): LookupPairs {
  const at = record(value, path);
  return {
    name: text(at["name"], `${path}.name`),
    pairs: amount(at["pairs"], `${path}.pairs`),
    a: lookupTries(at["a"], `${path}.a`),
    aaaa: lookupTries(at["aaaa"], `${path}.aaaa`),
  };
}

function lookupTries(value: unknown, path: string): LookupTries {
  const at = record(value, path);
  const number = (name: string) => amount(at[name], `${path}.${name}`);
  return {
    answered: number("answered"),
    failures: number("failures"),
    slowestMs: number("slowestMs"),
  };
}

function connectionTable(value: unknown, path: string): ConnectionTable {
  const at = record(value, path);
  const number = (name: string) => amount(at[name], `${path}.${name}`);
  return {
    max: number("max"),
    samples: list(at["samples"], `${path}.samples`, maxSamples, (sample, where) => {
      const inside = record(sample, where);
      return {
        at: amount(inside["at"], `${where}.at`),
        count: amount(inside["count"], `${where}.count`),
      };
    }),
    dropped: number("dropped"),
    insertFailed: number("insertFailed"),
    earlyDropped: number("earlyDropped"),
  };
}
