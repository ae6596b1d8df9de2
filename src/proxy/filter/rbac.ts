/**
 * L7 authorization: 403 with Envoy's body. Which policy decided goes to the log and the access log, never to the
 * client.
 */

import { type CompiledRbac, refusal } from "../config/matchers.ts";
import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";

/** `onRefusal`: may add to what is said. */
export function rbac(
  rules: readonly CompiledRbac[],
  environment: Environment,
  onRefusal: (exchange: Exchange) => void,
): Filter {
  const { log } = environment;
  return (next) => (exchange) => {
    const policy = refusal(rules, exchange);
    if (policy === undefined) return next(exchange);
    log.debug("deny request", {
      policy,
      method: exchange.method,
      path: exchange.path,
      source: exchange.principal ?? exchange.sourceAddress,
    });
    onRefusal(exchange);
    exchange.respond(
      403,
      "-",
      "RBAC: access denied",
      `rbac_access_denied_matched_policy[${policy}]`,
    );
  };
}
