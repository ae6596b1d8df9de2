/** Finds the route and goes on with its own stack. Unknown host or path: 404 NR, as Envoy. */

import type { RouteTable } from "../config/route-table.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Handler } from "../stack/handler.ts";

export function selectRoute(table: RouteTable | undefined): Handler {
  return (exchange) => {
    const route = table?.find(exchange);
    if (route === undefined) {
      exchange.respond(404, "NR", "", "route_not_found");
      return;
    }
    exchange.route = route;
    route.handle(exchange);
  };
}

/**
 * For what is refused before a route is looked for: a page of another origin may read why, where the route that it asked
 * for lets it read answers.
 */
export function permitPages(table: RouteTable | undefined): (exchange: Exchange) => void {
  return (exchange) => {
    if (exchange.field("origin") !== undefined) table?.find(exchange)?.sharing?.permit(exchange);
  };
}
