/**
 * `iptables-legacy-save` as chains and rules. The legacy tables are the kernel's own and not seen by nft at all.
 *
 * Options that are not known make the rule's condition `unknown`; `!` before an option negates it.
 */

import type {
  Condition,
  ConditionField,
  ForeignChain,
  ForeignRule,
  ForeignVerdict,
} from "../../model/foreign-rules.ts";

const options: Readonly<Record<string, ConditionField>> = {
  "-i": "iifname",
  "-o": "oifname",
  "-s": "source",
  "-d": "destination",
  "-p": "protocol",
  "--dport": "port",
  "--dports": "port",
  "--state": "state",
  "--ctstate": "state",
};

/** `family` is `ip`, or `ip6` for what `ip6tables-legacy-save` prints. */
export function parseSave(text: string, family: "ip" | "ip6"): readonly ForeignChain[] {
  const chains: { table: string; name: string; policy: string; rules: ForeignRule[] }[] = [];
  let table = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) table = line.slice(1).trim();
    const [, declared, policy = "-"] = /^:(\S+) (\S+)/.exec(line) ?? [];
    if (declared !== undefined) chains.push({ table, name: declared, policy, rules: [] });
    const [, appended, words = ""] = /^-A (\S+) ?(.*)$/.exec(line) ?? [];
    const chain = chains.find((each) => each.table === table && each.name === appended);
    chain?.rules.push(parseRule(words, line));
  }
  return chains.map(({ table, name, policy, rules }) => ({
    tool: "iptables-legacy",
    family,
    table,
    name,
    ...(policy === "-"
      ? {}
      : {
          base: {
            type: table,
            hook: name.toLowerCase(),
            policy: policy === "DROP" ? ("drop" as const) : ("accept" as const),
          },
        }),
    rules,
  }));
}

function parseRule(words: string, text: string): ForeignRule {
  const tokens = words.match(/"[^"]*"|\S+/g) ?? [];
  const conditions: Condition[] = [];
  let verdict: ForeignVerdict = { kind: "continue" };
  let isNegated = false;
  for (let at = 0; at < tokens.length; at++) {
    const option = tokens[at] ?? "";
    const value = tokens[at + 1] ?? "";
    if (option === "!") {
      isNegated = true;
      continue;
    }
    const field = options[option];
    if (option === "-j" || option === "-g") {
      verdict = verdictOf(value, option === "-g");
      break; // what follows are options of the target
    }
    if (field !== undefined) conditions.push(condition(field, isNegated, value));
    else if (!isSilent(option, value)) conditions.push({ field: "unknown" });
    isNegated = false;
    at += value.startsWith("-") ? 0 : 1;
  }
  return { conditions, verdict, text };
}

/** The names of matches whose options are known, and comments. */
function isSilent(option: string, value: string): boolean {
  if (option === "--comment") return true;
  const known = ["tcp", "udp", "multiport", "state", "conntrack", "comment"];
  return option === "-m" && known.includes(value);
}

function condition(field: ConditionField, isNegated: boolean, value: string): Condition {
  const values = value.split(",").map((each) => {
    if (field === "port") return each.replace(":", "-");
    if (field === "state") return each.toLowerCase();
    // `hd+` is every link whose name begins so.
    return field.endsWith("ifname") ? each.replace(/\+$/, "*") : each;
  });
  return { field, isNegated, values };
}

function verdictOf(target: string, isGoto: boolean): ForeignVerdict {
  switch (target) {
    case "ACCEPT":
      return { kind: "accept" };
    case "DROP":
    case "REJECT":
      return { kind: "drop" };
    case "RETURN":
      return { kind: "return" };
    case "LOG":
    case "NFLOG":
    case "ULOG":
      return { kind: "continue" };
    default:
      // Targets of extensions are capitals; a user's chain that is, too, is not found and counts as unknown.
      return { kind: isGoto ? "goto" : "jump", chain: target };
  }
}
