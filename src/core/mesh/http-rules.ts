/**
 * The HTTP rules of a VirtualService as they hold: its own, and in the place of each that delegates, those of the
 * VirtualService that it delegates to, merged with it (merge-rules.ts).
 *
 * A delegate has no hosts, is exported to the root's namespace, and does not delegate itself. Where one is not to be
 * had, the rule that delegates to it is left out, the others stand, and a note says so; likewise for rules of a
 * delegate that ask for more than they are given. Names are those of whoever wrote them: hosts and gateways without a
 * namespace are of the delegate's in the delegate, of the root's in the root.
 */

import type { HttpMatchRequest, HttpRoute, VirtualService } from "../../api/istio/networking.ts";
import type { Compiled, Diagnostic } from "../../base/compiled.ts";
import { namespaceOf } from "../registry/workloads.ts";
import { objectNamed, type World } from "../registry/world.ts";
import { gatewayNamed } from "./http-match.ts";
import { type MatchOrigin, mergeRules } from "./merge-rules.ts";
import { describe, isVisible } from "./visibility.ts";

/** A rule where it is written. */
export interface WrittenRule {
  readonly rules: VirtualService;
  /** `spec.http[0]`. */
  readonly path: string;
  readonly written: HttpRoute;
}

export interface HttpRule extends WrittenRule {
  /** What holds: as written, or merged with the root's. */
  readonly rule: HttpRoute;
  /** The rule that delegates to this one; undefined: nobody does. */
  readonly root?: WrittenRule;
  /** One for each match of `rule`. */
  readonly origins: readonly MatchOrigin[];
}

/** A root's rules, for as long as it and those that it delegates to are the same objects. */
const known = new WeakMap<
  VirtualService,
  {
    readonly delegates: readonly (VirtualService | undefined)[];
    readonly made: Compiled<readonly HttpRule[]>;
  }
>();

export function httpRules(world: World, root: VirtualService): Compiled<readonly HttpRule[]> {
  const delegates = delegatesOf(world, root);
  const before = known.get(root);
  if (before?.delegates.every((one, index) => one === delegates[index]) === true) {
    return before.made;
  }
  const made = compileRules(root, delegates);
  known.set(root, { delegates, made });
  return made;
}

/** Where the field of the rule is written: in the root, if its delegate says nothing of it. */
export function placeOf({ root, ...own }: HttpRule, field: keyof HttpRoute): WrittenRule {
  return own.written[field] === undefined && root !== undefined ? root : own;
}

/** One for each rule that delegates, undefined where nothing has the name. */
export function delegatesOf(
  world: World,
  root: VirtualService,
): readonly (VirtualService | undefined)[] {
  return (root.spec.http ?? [])
    .filter(({ delegate }) => delegate !== undefined)
    .map((rule) => {
      const { namespace, name } = delegateName(root, rule);
      return objectNamed<VirtualService>(world, "VirtualService", namespace, name);
    });
}

function compileRules(
  rules: VirtualService,
  delegates: readonly (VirtualService | undefined)[],
): Compiled<readonly HttpRule[]> {
  const diagnostics: Diagnostic[] = [];
  const queue = [...delegates];
  const value = writtenRules(rules).flatMap((own): readonly HttpRule[] => {
    const { written } = own;
    if (written.delegate === undefined) {
      return [{ ...own, rule: written, origins: (written.match ?? []).map((_, own) => ({ own })) }];
    }
    return delegated(own, queue.shift(), diagnostics);
  });
  return { value, diagnostics };
}

/** What the delegate makes of the requests that the root's rule hands to it. */
function delegated(
  root: WrittenRule,
  delegate: VirtualService | undefined,
  diagnostics: Diagnostic[],
): readonly HttpRule[] {
  const note = (code: string, where: WrittenRule, message: string): void => {
    const place = `${describe(where.rules)} ${where.path}.delegate`;
    diagnostics.push({ severity: "warning", code, where: place, message });
  };
  const unfit = unfitness(root, delegate);
  if (unfit !== undefined || delegate === undefined) {
    note("HEDDLE0118", root, `${unfit}: the rule is left out`);
    return [];
  }
  const tooMuch: string[] = [];
  const merged = writtenRules(delegate).flatMap((own): readonly HttpRule[] => {
    if (own.written.delegate !== undefined) {
      note("HEDDLE0118", own, "a delegate does not delegate further: the rule is left out");
      return [];
    }
    const made = mergeRules(root.written, own.written);
    if (made.kind === "merged") return [{ ...own, root, rule: made.rule, origins: made.origins }];
    tooMuch.push(`${own.path} by ${made.field}`);
    return [];
  });
  if (tooMuch.length > 0) {
    const message = `${describe(delegate)} asks for more than the rule gives it, and what does so is left out: ${tooMuch.join(", ")}`;
    note("HEDDLE0119", root, message);
  }
  return merged;
}

function unfitness(
  { rules, written }: WrittenRule,
  delegate: VirtualService | undefined,
): string | undefined {
  if (delegate === undefined) {
    const { namespace, name } = delegateName(rules, written);
    return `there is no VirtualService ${namespace}/${name}`;
  }
  if ((delegate.spec.hosts ?? []).length > 0) {
    return `${describe(delegate)} has hosts of its own, and a delegate has none`;
  }
  const namespace = namespaceOf(rules);
  return isVisible(delegate.spec.exportTo, namespaceOf(delegate), namespace)
    ? undefined
    : `${describe(delegate)} is not exported to namespace ${namespace}`;
}

function delegateName(
  root: VirtualService,
  { delegate }: HttpRoute,
): { readonly namespace: string; readonly name: string } {
  return { namespace: delegate?.namespace || namespaceOf(root), name: delegate?.name ?? "" };
}

/** With the full names of the gateways that their matches ask for. */
function writtenRules(rules: VirtualService): readonly WrittenRule[] {
  const owner = namespaceOf(rules);
  // An item that says nothing takes every request, as in Istio.
  const named = (match: HttpMatchRequest | null): HttpMatchRequest =>
    match?.gateways === undefined
      ? (match ?? {})
      : { ...match, gateways: match.gateways.map((name) => gatewayNamed(name, owner)) };
  return (rules.spec.http ?? []).map((rule, index) => ({
    rules,
    path: `spec.http[${index}]`,
    written: rule.match === undefined ? rule : { ...rule, match: rule.match.map(named) },
  }));
}
