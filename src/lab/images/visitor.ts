/**
 * A modest, steady load, so that a lab's table has something to show: RATE requests a second, going round REQUESTS.
 *
 *     RATE=10 REQUESTS="GET http://web/ POST http://web/checkout"
 *
 * It never has more than a few requests in flight: a slow service is asked less often, not buried.
 */

import { callHttp } from "./serving.ts";

const rate = Number(process.env["RATE"] ?? 10);
const words = (process.env["REQUESTS"] ?? "GET http://web/").split(/\s+/).filter((w) => w !== "");
const mostInFlight = 8;

let next = 0;
let inFlight = 0;

setInterval(() => {
  const method = words[next];
  const url = words[next + 1];
  next = (next + 2) % words.length;
  if (method === undefined || url === undefined || inFlight >= mostInFlight) return;
  inFlight++;
  void callHttp(method, url, { "user-agent": "heddle-visitor" }).finally(() => {
    inFlight--;
  });
}, 1000 / rate);

process.once("SIGTERM", () => process.exit(0));
