/**
 * The chains that choose among slots: one for each protocol, family and number of slots that some Service has.
 *
 * They are named by what they do and how many slots there are, so Services with equally many share one, and a Service
 * that grows changes which one its group goes to: one element.
 */

import type { NftChain } from "../../../model/node-state.ts";
import type { NftFamily } from "../families.ts";

export type Choice =
  | { readonly kind: "spread"; readonly slots: number }
  /** `byClient`: the client's port does not count. */
  | { readonly kind: "maglev"; readonly slots: number; readonly byClient: boolean }
  | { readonly kind: "sticky"; readonly slots: number; readonly seconds: number };

/** The same on every node and in every version, so that all nodes agree and an upgrade moves nobody. */
const seed = "0x68656464";

/** More endpoints than these are not kept apart for clients that stay; the rest gets none of them. */
export const mostStickySlots = 8191;

/**
 * A choice as a mark, by which a group's connections find their chain: a map from groups to chains themselves would
 * have the kernel walk all of its elements, each time one changes, to look for loops.
 */
export function choiceMark(choice: Choice, protocol: string, { family }: NftFamily): number {
  const six = family === "IPv6" ? 1 : 0;
  if (choice.kind === "sticky") {
    return (2 ** 31 + six * 2 ** 30 + choice.slots * 2 ** 17 + choice.seconds) >>> 0;
  }
  const kind = choice.kind === "spread" ? 0 : choice.byClient ? 2 : 1;
  const transport = ["tcp", "udp", "sctp"].indexOf(protocol);
  return kind * 2 ** 29 + six * 2 ** 28 + transport * 2 ** 26 + choice.slots;
}

/** For groups without an endpoint: nowhere, or not on this node. */
export const refusal: { readonly nowhere: number; readonly notHere: number } = {
  nowhere: 3 * 2 ** 29 + 1,
  notHere: 3 * 2 ** 29 + 2,
};

export function choiceName(choice: Choice, protocol: string, { suffix }: NftFamily): string {
  switch (choice.kind) {
    case "spread":
      return `${protocol}-spread${suffix}-${choice.slots}`;
    case "maglev":
      return `${protocol}-maglev${choice.byClient ? "-client" : ""}${suffix}-${choice.slots}`;
    case "sticky":
      return `sticky${suffix}-${choice.slots}-${choice.seconds}`;
  }
}

export function choiceChain(choice: Choice, protocol: string, family: NftFamily): NftChain {
  return { name: choiceName(choice, protocol, family), rules: rulesOf(choice, protocol, family) };
}

function rulesOf(choice: Choice, protocol: string, family: NftFamily): readonly string[] {
  const { keyword, suffix } = family;
  const random = `numgen random mod ${choice.slots}`;
  const to = (slot: string) =>
    `meta l4proto ${protocol} dnat ${keyword} to meta mark . ${slot} map @${protocol}-endpoints${suffix}`;
  switch (choice.kind) {
    case "spread":
      return [to(random)];
    case "maglev": {
      const what = choice.byClient ? `${keyword} saddr` : `${keyword} saddr . th sport`;
      return [to(`jhash ${what} mod ${choice.slots} seed ${seed}`)];
    }
    case "sticky":
      return stickyRules(family, random, choice.seconds);
  }
}

/**
 * The group moves to the connection mark, for the packet mark takes the endpoint's number. An endpoint that is gone is
 * in no target, so the first `dnat` does not match, and the client is given another one, to keep from then on.
 *
 * Clients are remembered by a hash of their address: nft 1.0.6 cannot update a map whose key holds an IPv6 address and
 * more. Two clients of one hash share an endpoint, which nobody can tell. `update` renews the time but keeps what is
 * there, hence `delete`.
 */
function stickyRules(
  { keyword, suffix }: NftFamily,
  random: string,
  seconds: number,
): readonly string[] {
  const client = `jhash ${keyword} saddr mod 4294967295 seed ${seed} . ct mark`;
  const dnat = `meta l4proto { tcp, udp, sctp } dnat ${keyword} to ct mark . meta mark map @targets${suffix}`;
  const remember = `update @affinity { ${client} timeout ${seconds}s : meta mark }`;
  return [
    "ct mark set meta mark",
    `meta mark set ct mark . ${random} map @picks`,
    `meta mark set ${client} map @affinity`,
    remember,
    dnat,
    `delete @affinity { ${client} : meta mark }`,
    `meta mark set ct mark . ${random} map @picks`,
    remember,
    dnat,
  ];
}
