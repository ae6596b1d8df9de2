/** Gateways: kept, not yet acted upon, so only their shape is looked at. */

import type { Check } from "../schema/check.ts";
import { list, mapOf, record } from "../schema/record.ts";
import { anything, nonEmpty, portNumber, text } from "../schema/scalar.ts";

export const gatewaySpec: Check = record({
  selector: mapOf(text()),
  servers: list(
    record({
      "port!": record({
        "number!": portNumber,
        "protocol!": nonEmpty,
        "name!": nonEmpty,
        targetPort: portNumber,
      }),
      "hosts!": list(nonEmpty, 1),
      bind: text(),
      defaultEndpoint: text(),
      name: text(),
      tls: anything,
    }),
  ),
});
