/**
 * Walks a packet through a ruleset as the kernel would: the second opinion on what our own rules mean.
 *
 * It reads the rules' text, not what the compiler meant by it, so a compiler that writes a wrong rule is found out.
 * Only a connection's first packet is walked. Chains of one hook run in the order of their priorities; those of type
 * nat end for a connection once one has translated it.
 *
 * What it does not know is the kernel itself: whether nft takes a text, and what a hash gives, is shown with real
 * packets (test/netns).
 */

import type { NftChain, NftMap, NftSet, Ruleset } from "../../../model/node-state.ts";
import { covers, evaluate, lookUp, type Packet, Reader, type Surroundings } from "./expressions.ts";

export interface World extends Surroundings {
  /** The interface that packets to an address leave by; undefined for the node's own addresses. */
  route(destination: string): string | undefined;
}

export interface Arrival {
  readonly source: string;
  readonly destination: string;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly destinationPort: number;
  readonly sourcePort?: number;
  /** Interface it comes in by; undefined: the node itself sends it. */
  readonly inLink?: string;
}

export interface Outcome {
  readonly verdict: "accept" | "drop" | "reject";
  readonly packet: Packet;
  /** The node's address takes the place of the source. */
  readonly masquerade: boolean;
  /** Log prefix of the rule that dropped it. */
  readonly prefix?: string;
}

export function walk(ruleset: Ruleset, arrival: Arrival, world: World): Outcome {
  const { source, destination, protocol, destinationPort, sourcePort = 40000, inLink } = arrival;
  const packet: Packet = {
    source,
    destination,
    protocol,
    sourcePort,
    destinationPort,
    ...(inLink === undefined ? {} : { inLink }),
    mark: 0,
    connection: {
      state: "new",
      mark: 0,
      labels: new Set(),
      dnat: false,
      original: { destination, destinationPort },
    },
  };
  const walker = new Walker(ruleset, packet, world);
  const hooks =
    inLink === undefined
      ? ["output", "postrouting"]
      : ["prerouting", world.route(destination) === undefined ? "input" : "forward", "postrouting"];
  for (const hook of hooks) {
    const end = hook === "input" || hook === "forward" ? walker.routed() : walker.run(hook);
    if (end !== undefined) return { ...end, packet, masquerade: walker.masquerade };
    const link = world.route(packet.destination);
    if (link !== undefined) packet.outLink = link;
    if (link === undefined && hook === "input") break;
  }
  return { verdict: "accept", packet, masquerade: walker.masquerade };
}

type Refusal = Pick<Outcome, "verdict" | "prefix">;

/** How a chain ended: the packet goes on to the next base chain, back to the caller's next rule, or nowhere. */
type Step =
  | { readonly kind: "next" }
  | { readonly kind: "accept" }
  | { readonly kind: "translated" }
  | { readonly kind: "return" }
  | { readonly kind: "refused"; readonly refusal: Refusal };

const priorities: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  srcnat: 100,
};

class Walker {
  masquerade = false;
  readonly #packet: Packet;
  readonly #world: World;
  readonly #ruleset: Ruleset;
  readonly #chains: ReadonlyMap<string, NftChain>;
  readonly #collections: ReadonlyMap<string, NftSet | NftMap>;
  readonly #remembered = new Map<string, string>();

  constructor(ruleset: Ruleset, packet: Packet, world: World) {
    this.#ruleset = ruleset;
    this.#packet = packet;
    this.#world = world;
    this.#chains = new Map(ruleset.chains.map((chain) => [chain.name, chain]));
    const all: readonly (NftSet | NftMap)[] = [...ruleset.sets, ...ruleset.maps];
    this.#collections = new Map(all.map((each) => [each.name, each]));
  }

  routed(): Refusal | undefined {
    return this.run(
      this.#world.route(this.#packet.destination) === undefined ? "input" : "forward",
    );
  }

  run(hook: string): Refusal | undefined {
    let translated = false;
    for (const { chain, type } of baseChains(this.#ruleset, hook)) {
      if (type === "nat" && translated) continue;
      const step = this.#chain(chain);
      if (step.kind === "refused") return step.refusal;
      if (step.kind === "translated") translated = true;
    }
    return undefined;
  }

  #chain(chain: NftChain): Step {
    for (const rule of chain.rules) {
      // Cuts segments to size, whatever the verdict.
      if (rule.endsWith("tcp option maxseg size set rt mtu")) continue;
      const step = this.#rule(new Reader(rule));
      if (step.kind === "next") continue;
      return step;
    }
    return { kind: "return" };
  }

  #rule(reader: Reader): Step {
    let prefix: string | undefined;
    while (!reader.done) {
      if (reader.take("log prefix")) {
        prefix = reader.next().slice(1, -1);
        reader.expect("group");
        reader.next();
        continue;
      }
      if (reader.take("comment")) {
        reader.next();
        continue;
      }
      const verdict = this.#verdict(reader, prefix);
      if (verdict !== undefined) return verdict;
      const step = this.#statement(reader);
      if (step === "mismatch") return { kind: "next" };
      if (step !== "matched") return step;
    }
    return { kind: "next" };
  }

  #verdict(reader: Reader, prefix: string | undefined): Step | undefined {
    if (reader.take("accept")) return { kind: "accept" };
    if (reader.take("return")) return { kind: "return" };
    if (reader.take("drop")) {
      const refusal = { verdict: "drop" as const, ...(prefix === undefined ? {} : { prefix }) };
      return { kind: "refused", refusal };
    }
    if (reader.take("reject")) return { kind: "refused", refusal: { verdict: "reject" } };
    for (const how of ["jump", "goto"]) {
      if (!reader.take(how)) continue;
      const name = reader.next();
      const chain = this.#chains.get(name);
      if (chain === undefined) throw new SyntaxError(`no chain ${name}`);
      const step = this.#chain(chain);
      if (step.kind !== "return") return step;
      return how === "goto" ? { kind: "return" } : { kind: "next" };
    }
    return undefined;
  }

  #statement(reader: Reader): "matched" | "mismatch" | Step {
    const packet = this.#packet;
    const { connection } = packet;
    if (reader.take("notrack")) return "matched"; // of wrapped packets, which no rule of a connection is about
    if (reader.take("ct label set")) {
      connection.labels.add(Number(reader.next()));
      return "matched";
    }
    if (reader.take("ct label")) {
      return connection.labels.has(Number(reader.next())) ? "matched" : "mismatch";
    }
    if (reader.take("meta mark set")) {
      const value = this.#value(reader);
      if (value !== undefined) packet.mark = Number(value);
      return value === undefined ? "mismatch" : "matched";
    }
    if (reader.take("ct mark set")) {
      const value = this.#value(reader);
      if (value !== undefined) connection.mark = Number(value);
      return value === undefined ? "mismatch" : "matched";
    }
    if (reader.take("update") || reader.take("delete")) return this.#remember(reader);
    if (reader.take("masquerade fully-random") || reader.take("masquerade")) {
      this.masquerade = true;
      return { kind: "translated" };
    }
    if (reader.take("snat ip to") || reader.take("snat ip6 to")) {
      reader.next();
      reader.take("fully-random");
      this.masquerade = true;
      return { kind: "translated" };
    }
    if (reader.take("dnat ip to") || reader.take("dnat ip6 to")) {
      const target = this.#value(reader)?.split(" . ");
      if (target === undefined) return "mismatch";
      [packet.destination = "", packet.destinationPort = 0] = [target[0], Number(target[1])];
      connection.dnat = true;
      return { kind: "translated" };
    }
    return this.#match(reader);
  }

  /** An expression, or what a map has for it. */
  #value(reader: Reader): string | undefined {
    if (/^0x|^\d+$/.test(reader.peek())) return reader.next();
    const parts = evaluate(reader, this.#packet, this.#world);
    if (!reader.take("map")) return parts?.join(" . ");
    const map = this.#collection(reader.next());
    if (parts === undefined) return undefined;
    return this.#remembered.get(`${map.name} ${parts.join(" . ")}`) ?? lookUp(map, parts);
  }

  #match(reader: Reader): "matched" | "mismatch" | Step {
    const parts = evaluate(reader, this.#packet, this.#world);
    if (reader.take("vmap")) {
      const verdict = this.#verdictFor(reader, parts);
      return verdict === undefined ? "mismatch" : (this.#verdict(verdict, undefined) ?? "mismatch");
    }
    const negated = reader.take("!=");
    if (!negated) reader.take("==");
    const found = this.#isAmong(reader, parts);
    return parts !== undefined && found !== negated ? "matched" : "mismatch";
  }

  #isAmong(reader: Reader, parts: readonly string[] | undefined): boolean {
    if (reader.peek().startsWith("@")) {
      const set = this.#collection(reader.next());
      return parts !== undefined && lookUp(set, parts) !== undefined;
    }
    const patterns: string[] = [];
    if (reader.take("{")) {
      while (!reader.take("}")) if (!reader.take(",")) patterns.push(reader.next());
    } else patterns.push(reader.next());
    return parts !== undefined && patterns.some((pattern) => covers(pattern, parts));
  }

  #verdictFor(reader: Reader, parts: readonly string[] | undefined): Reader | undefined {
    let verdict: string | undefined;
    if (reader.take("{")) {
      while (!reader.take("}")) {
        if (reader.take(",")) continue;
        const key = reader.next();
        reader.expect(":");
        const words: string[] = []; // a jump has two
        while (reader.peek() !== "," && reader.peek() !== "}") words.push(reader.next());
        const value = words.join(" ");
        if (parts !== undefined && covers(key, parts)) verdict = value;
      }
    } else {
      const map = this.#collection(reader.next());
      if (parts !== undefined) verdict = lookUp(map, parts);
    }
    return verdict === undefined ? undefined : new Reader(verdict);
  }

  /** `update` keeps what is there; a map that packets fill starts out empty. */
  #remember(reader: Reader): "matched" {
    const map = reader.next().slice(1);
    reader.expect("{");
    const key = evaluate(reader, this.#packet, this.#world)?.join(" . ") ?? "";
    const isUpdate = reader.take("timeout");
    if (isUpdate) reader.next();
    reader.expect(":");
    const value = evaluate(reader, this.#packet, this.#world)?.join(" . ") ?? "";
    reader.expect("}");
    const name = `${map} ${key}`;
    if (!isUpdate) this.#remembered.delete(name);
    else if (!this.#remembered.has(name)) this.#remembered.set(name, value);
    return "matched";
  }

  #collection(reference: string): NftSet | NftMap {
    const found = this.#collections.get(reference.slice(1));
    if (found === undefined) throw new SyntaxError(`no set or map ${reference}`);
    return found;
  }
}

function baseChains(
  ruleset: Ruleset,
  hook: string,
): readonly { readonly chain: NftChain; readonly type: string; readonly priority: number }[] {
  return ruleset.chains
    .flatMap((chain) => {
      const words = /^type (\w+) hook (\w+) priority ([^;]+);/.exec(chain.hook ?? "");
      const [, type = "", at, priority = ""] = words ?? [];
      return at === hook ? [{ chain, type, priority: priorityOf(priority) }] : [];
    })
    .sort((a, b) => a.priority - b.priority);
}

/** `dstnat + 1`, `-100`, `filter`. */
function priorityOf(text: string): number {
  const [, name, sign, offset] = /^([a-z]+)(?: ([+-]) (\d+))?$/.exec(text.trim()) ?? [];
  if (name === undefined) return Number(text);
  const base = priorities[name];
  if (base === undefined) throw new SyntaxError(`no priority ${name}`);
  return base + (sign === "-" ? -1 : 1) * Number(offset ?? 0);
}
