/** Ports for who must be told one beforehand: a program of others, or a user's choice. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const lowest = 10_000;
const each = 16;
let taken = 0;

/**
 * A port of this process' own. The system gives it to nobody who asks for any port, nor to connections, since it is
 * below those that these get; other processes of tests choose others, by their numbers.
 */
export async function ownPort(): Promise<number> {
  const range = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "latin1");
  const count = Number.parseInt(range, 10) - lowest;
  for (;;) {
    const port = lowest + ((process.pid * each + taken++) % count);
    const server = createServer();
    const isFree = await once(server.listen(port), "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue; // somebody who chose it by hand
    server.close();
    await once(server, "close");
    return port;
  }
}
