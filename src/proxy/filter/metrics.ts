/** Counts every request of a chain when it is over; see observe/recorder.ts for what is counted. */

import type { Direction } from "../../model/proxy-config.ts";
import type { Recorder } from "../observe/recorder.ts";
import type { Filter } from "../stack/handler.ts";

export function metrics(recorder: Recorder, direction: Direction): Filter {
  const record = recorder.forDirection(direction);
  return (next) => (exchange) => {
    exchange.atEnd(record);
    next(exchange);
  };
}
