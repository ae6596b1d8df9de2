/**
 * Packet filter rules of others, as far as they have to be understood to see whether they drop what is ours.
 *
 * A condition or verdict that is not understood is kept as `unknown`; whoever evaluates then knows that he does not
 * know.
 */

export interface ForeignChain {
  /** What the chain is changed with. */
  readonly tool: "nft" | "iptables" | "iptables-legacy";
  /** nft's families: `ip`, `ip6`, `inet`, `netdev` … */
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Undefined for a chain that others jump to. */
  readonly base?: {
    readonly type: string;
    readonly hook: string;
    readonly policy: "accept" | "drop";
    /** Of the hooks `ingress` and `egress` of a link. */
    readonly device?: string;
  };
  readonly rules: readonly ForeignRule[];
}

export interface ForeignRule {
  readonly conditions: readonly Condition[];
  readonly verdict: ForeignVerdict;
  readonly text: string;
}

export type ConditionField =
  | "iifname"
  | "oifname"
  | "source"
  | "destination"
  | "protocol"
  | "port"
  | "state"
  | "family";

export type Condition =
  | {
      readonly field: ConditionField;
      readonly isNegated: boolean;
      /** One of these; addresses may be prefixes or ranges `a-b`, ports ranges, link names end in `*`. */
      readonly values: readonly string[];
    }
  | { readonly field: "unknown" };

export type ForeignVerdict =
  | { readonly kind: "accept" | "drop" | "return" | "continue" | "unknown" }
  | { readonly kind: "jump" | "goto"; readonly chain: string }
  /** A verdict for each value of a field; no entry: the rule does not apply. */
  | {
      readonly kind: "map";
      readonly field: ConditionField | "unknown";
      readonly entries: readonly (readonly [value: string, verdict: ForeignVerdict])[];
    };
