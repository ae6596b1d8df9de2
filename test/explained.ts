/**
 * Holds the requests that end-to-end tests make against what `explain` says of them: whatever a test sees of a request,
 * `explain`, asked the same at the same time, must have said.
 *
 * A request of a test is a curl command in a pod; it is read back into a question. The objects are fetched before and
 * after, and where they changed meanwhile, either answer may be the true one. Of a load in steady state every answering
 * pod must be among those that `explain` names, and the shares must be its shares.
 */

import assert from "node:assert/strict";
import { MeshError } from "../src/base/error.ts";
import { fetchWorld, parseDestination } from "../src/cli/explain.ts";
import { explain } from "../src/core/explain/explain.ts";
import type { Explanation, Question, Seen, Verdict } from "../src/core/explain/explanation.ts";
import type { World } from "../src/core/registry/world.ts";
import type { ObjectClient } from "../src/rpc/object-client.ts";
import { isBinomial } from "./binomial.ts";

/** How a curl command ended. */
export interface Ended {
  readonly code: number;
  /** Where the command printed it. */
  readonly status?: number;
  readonly stdout: string;
}

const exitCodes: Readonly<Record<Exclude<Seen["kind"], "status">, readonly number[]>> = {
  "no such name": [6],
  "times out": [28],
  "connection refused": [7],
  // 7 where the RST has come before curl looks at how connecting went.
  "connection closed": [7, 52, 56],
};

/** Statuses that an application of the tests does not give: they are a sidecar's. */
const refusals = new Set([403, 503, 504]);

/** Runs the command, and fails where `explain` says otherwise. */
export async function held<T extends Ended>(
  client: ObjectClient,
  pod: string,
  words: readonly string[],
  run: () => Promise<T>,
): Promise<T> {
  const question = questionOf(pod, words);
  if (question === undefined) return run();
  const before = await fetchWorld(client);
  const ended = await run();
  if (agrees(before, question, ended)) return ended;
  const after = await fetchWorld(client);
  if (agrees(after, question, ended)) return ended;
  const said = answer(after, question);
  const seen = `curl ${words.join(" ")} in ${pod} ended with ${ended.code}, status ${ended.status}`;
  const why = "verdict" in said ? JSON.stringify(said.verdict, undefined, 1) : said.kind;
  assert.fail(`explain disagrees: ${seen}, but it says ${why}`);
}

/**
 * Fails where answers came from pods that `explain` does not name, or in other shares than its own (beyond 4.5 standard
 * deviations of the binomial distribution).
 */
export function holdShares(
  world: World,
  pod: string,
  url: string,
  answers: readonly { readonly pod: string }[],
): void {
  const question = questionOf(pod, [url]);
  if (question === undefined || answers.every((each) => each.pod === "")) return;
  const { branches } = explain(world, question);
  let counted = 0;
  for (const { share, candidates } of branches) {
    const names = new Set(candidates.map((candidate) => candidate.pod?.split("/")[1]));
    const count = answers.filter((each) => names.has(each.pod)).length;
    assert.ok(
      isBinomial(count, answers.length, share),
      `${count} of ${answers.length} answers came from ${[...names]}, explain says ${share}`,
    );
    counted += count;
  }
  assert.equal(counted, answers.length, "answers from pods that explain does not name");
}

/** The question that a curl command asks; undefined where it is about the pod itself. */
export function questionOf(pod: string, words: readonly string[]): Question | undefined {
  let url: URL | undefined;
  let method: string | undefined;
  const headers: Record<string, string> = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const value = () => words[++i] ?? "";
    switch (word) {
      case "-X":
        method = value();
        break;
      case "-H": {
        const [name = "", ...rest] = value().split(":");
        headers[name.trim()] = rest.join(":").trim();
        break;
      }
      case "-m":
      case "-w":
      case "-o":
        value();
        break;
      default:
        if (!word.startsWith("-")) url = new URL(word);
    }
  }
  if (url === undefined || url.hostname === "127.0.0.1") return undefined;
  // TLS of the application's own is bytes to everybody else.
  const isTcp = url.protocol === "telnet:" || url.protocol === "https:";
  const port = url.protocol === "https:" ? 443 : 80;
  return {
    source: pod,
    port,
    ...parseDestination(url.host),
    ...(isTcp
      ? { protocol: "tcp" }
      : { path: `${url.pathname}${url.search}`, headers, ...(method ? { method } : {}) }),
  };
}

function agrees(world: World, question: Question, ended: Ended): boolean {
  const said = answer(world, question);
  if (!("verdict" in said)) return exitCodes[said.kind].includes(ended.code);
  const { verdict, branches, protocol } = said;
  const possible: readonly Verdict[] =
    verdict.outcome === "mixed" ? branches.map((branch) => branch.verdict) : [verdict];
  return possible.some((each) => fits(each, ended, protocol));
}

function answer(world: World, question: Question): Explanation | { readonly kind: "no such name" } {
  try {
    return explain(world, question);
  } catch (error) {
    if (error instanceof MeshError && error.code === "explain.destination") {
      return { kind: "no such name" };
    }
    throw error;
  }
}

function fits(verdict: Verdict, ended: Ended, protocol: Explanation["protocol"]): boolean {
  const { code, status, stdout } = ended;
  switch (verdict.outcome) {
    case "allowed":
      if (protocol !== "http") return stdout !== "";
      return code === 0 && (status === undefined || !refusals.has(status));
    case "answered":
      return code === 0 && (status === undefined || status === verdict.status);
    case "mixed":
      return false;
    case "refused": {
      const { seen } = verdict;
      if (seen.kind === "status") return code === 0 && (status ?? seen.status) === seen.status;
      const byItself = seen.kind === "times out" && status !== undefined && status === seen.status;
      return byItself || (stdout === "" && exitCodes[seen.kind].includes(code));
    }
  }
}
