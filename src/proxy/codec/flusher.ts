/**
 * Sends what connections have written, once per turn of the event loop.
 *
 * One turn brings reads of many connections, and one read of HTTP/2 frames of many streams; all that they lead to on one
 * connection leaves in one write, and one write follows upon another. So a peer who serves many of these connections
 * is woken once for several of them, not for each: a sixth of the CPU of a request (docs/adr/0023). The wait is the rest
 * of the turn, or until so many wait that those before need not wait for them. A connection whose output has grown
 * large is sent at once, so that a turn's output stays bounded.
 */

export interface Flushable {
  flush(): void;
}

/** 0.86 of the CPU per request with 16, 0.84 with 32, 0.83 with 64 and without bound. */
const maxWaiting = 32;

let waiting: Flushable[] = [];
let isScheduled = false;

/** Does not flush this one before it returns. */
export function flushSoon(connection: Flushable): void {
  if (waiting.length >= maxWaiting) flushAll();
  if (!isScheduled) setImmediate(endTurn);
  isScheduled = true;
  waiting.push(connection);
}

function endTurn(): void {
  isScheduled = false;
  flushAll();
}

function flushAll(): void {
  const ready = waiting;
  waiting = [];
  for (const connection of ready) connection.flush();
}
