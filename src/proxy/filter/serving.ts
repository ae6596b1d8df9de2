/** Times what the application serves; innermost, so that it sees only what was let in. See observe/serving.ts. */

import type { Servings } from "../observe/serving.ts";
import type { Filter } from "../stack/handler.ts";

export function serving(servings: Servings): Filter {
  return (next) => (exchange) => {
    next(exchange); // which chooses the cluster, and so the Service
    servings.arrive(exchange);
  };
}
