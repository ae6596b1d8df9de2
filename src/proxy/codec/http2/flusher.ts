/**
 * Sends what HTTP/2 connections have written, once per turn of the event loop.
 *
 * One read brings frames of many streams, and one turn brings reads of many connections; all that they lead to on one
 * connection leaves in one write. The wait is the rest of the turn. A connection whose output has grown large is sent
 * at once, so that a turn's output stays bounded.
 */

export interface Flushable {
  flush(): void;
}

let waiting: Flushable[] = [];

export function flushSoon(connection: Flushable): void {
  if (waiting.length === 0) setImmediate(flushAll);
  waiting.push(connection);
}

function flushAll(): void {
  const ready = waiting;
  waiting = [];
  for (const connection of ready) connection.flush();
}
