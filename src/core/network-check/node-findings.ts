/** Findings about one node by itself: its own rules and settings, and the name server of its pods. */

import type {
  Finding,
  Fix,
  LookupPairs,
  NameLookups,
  NodeEvidence,
} from "../../model/network-check.ts";
import type { CheckedNode } from "./findings.ts";

/** Resolvers ask again after 5 s; a second is felt. */
const slowMs = 1_500;

export function nodeFindings({ name, evidence }: CheckedNode): readonly Finding[] {
  if (evidence === undefined) return [];
  return [
    ...refusedPlan(name, evidence),
    ...podLinks(name, evidence),
    ...settings(name, evidence),
    ...ownRules(name, evidence),
    ...(evidence.names === undefined ? [] : names(name, evidence.names)),
  ];
}

/** The agent compares the kernel with what is wanted, and repairs the difference. */
function resync(node: string, { agentSocket }: NodeEvidence): Fix {
  const command = `curl -sS -X POST --unix-socket ${agentSocket} http://agent/resync`;
  return { node, command };
}

function refusedPlan(node: string, evidence: NodeEvidence): readonly Finding[] {
  if (evidence.refused === undefined) return [];
  return [
    {
      kind: "node-refuses-plan",
      nodes: [node],
      summary: `the kernel of ${node} does not take what is wanted of it; pods there have an older state`,
      evidence: [`${node}: ${evidence.refused}`],
      fixes: [resync(node, evidence)],
    },
  ];
}

function podLinks(node: string, evidence: NodeEvidence): readonly Finding[] {
  const { podLinks: faults = [] } = evidence;
  if (faults.length === 0) return [];
  return [
    {
      kind: "pod-link",
      nodes: [node],
      summary: `${faults.length === 1 ? "a pod" : `${faults.length} pods`} of ${node} cannot be given the link that is theirs, for what is in their namespace`,
      evidence: faults.map((fault) => `${node}: ${fault}`),
      fixes: [resync(node, evidence)],
    },
  ];
}

function settings(node: string, evidence: NodeEvidence): readonly Finding[] {
  return evidence.settings.map(({ key, found, wanted }) => ({
    kind: "setting",
    nodes: [node],
    summary: `somebody changed ${key} on ${node}`,
    evidence: [`${node}: ${key} is ${found ?? "absent"}, want ${wanted}`],
    fixes: [{ node, command: `sysctl -w ${key}=${wanted}` }],
  }));
}

/**
 * What a pod needs to reach itself through a Service stands in a set of that name and in the chain `postrouting`;
 * whether it does was tried besides.
 */
function ownRules(node: string, evidence: NodeEvidence): readonly Finding[] {
  const isHairpin = (sentence: string) => /\bhairpin|chain postrouting\b/.test(sentence);
  const hairpin = [...evidence.ruleset.filter(isHairpin), ...(evidence.hairpinLost ?? [])];
  const others = evidence.ruleset.filter((sentence) => !isHairpin(sentence));
  const evidenceOf = (sentences: readonly string[]) =>
    sentences.map((sentence) => `${node}: ${sentence}`);
  return [
    ...(others.length === 0
      ? []
      : [
          {
            kind: "ruleset" as const,
            nodes: [node],
            summary: `somebody changed Heddle's own nftables rules on ${node}`,
            evidence: evidenceOf(others),
            fixes: [resync(node, evidence)],
          },
        ]),
    ...(hairpin.length === 0
      ? []
      : [
          {
            kind: "hairpin" as const,
            nodes: [node],
            summary: `pods of ${node} cannot reach themselves through a Service`,
            evidence: evidenceOf(hairpin),
            // Where nothing of ours is missing it is something else's doing, on which this is a look.
            fixes: [
              resync(node, evidence),
              ...(evidence.ruleset.some(isHairpin) ? [] : [{ node, command: "nft list hooks" }]),
            ],
          },
        ]),
  ];
}

function names(node: string, lookups: NameLookups): readonly Finding[] {
  const { server, pid, cluster, outside } = lookups;
  const restart: Fix = {
    node,
    // The agent starts another at once.
    command: pid === undefined ? `ss -lunp 'sport = :53'` : `kill -KILL ${pid}`,
  };
  return [
    ...lookupFindings(node, `the name server ${server}`, cluster, restart),
    ...(outside === undefined
      ? []
      : lookupFindings(node, "a name server for outside names", outside, {
          node,
          command: `ss -lunp 'sport = :53'; tr '\\0' ' ' < /proc/${pid ?? "PID"}/cmdline # --upstream: start the agent with others`,
        })),
  ];
}

function lookupFindings(
  node: string,
  who: string,
  { name, pairs, a, aaaa }: LookupPairs,
  fix: Fix,
): readonly Finding[] {
  const evidence = [
    `${node}: of ${pairs} pairs of A and AAAA for ${name}, each pair from one socket, ${a.answered} A and ${aaaa.answered} AAAA were answered, ${a.failures} and ${aaaa.failures} of these with "server failure"`,
    `${node}: the slowest answers took ${a.slowestMs.toFixed(0)} ms (A) and ${aaaa.slowestMs.toFixed(0)} ms (AAAA)`,
  ];
  const finding = (kind: Finding["kind"], summary: string): readonly Finding[] => [
    { kind, nodes: [node], summary, evidence, fixes: [fix] },
  ];
  if (a.answered + aaaa.answered === 0) {
    return finding("names-silent", `${who} does not answer on ${node}`);
  }
  const [good, goodAaaa] = [a.answered - a.failures, aaaa.answered - aaaa.failures];
  if (good + goodAaaa === 0) {
    return finding("names-silent", `${who} answers nothing but "server failure" on ${node}`);
  }
  if (Math.min(good, goodAaaa) < pairs) {
    return finding(
      "names-race",
      `of two questions from one socket ${who} answers one on ${node}: a resolver then waits for seconds`,
    );
  }
  if (Math.max(a.slowestMs, aaaa.slowestMs) > slowMs) {
    return finding("names-slow", `${who} is slow on ${node}`);
  }
  return [];
}
