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

const headers = { "user-agent": "heddle-visitor" };

let next = 0;
let inFlight = 0;

process.once("SIGTERM", () => process.exit(0));

// Nobody visits before it is open: the first request is made until it succeeds, and not counted as load.
const [firstMethod = "GET", firstUrl = ""] = words;
while ((await callHttp(firstMethod, firstUrl, headers)).status !== 200) {
  await new Promise((resolve) => setTimeout(resolve, 200));
}

setInterval(() => {
  const method = words[next];
  const url = words[next + 1];
  next = (next + 2) % words.length;
  if (method === undefined || url === undefined || inFlight >= mostInFlight) return;
  inFlight++;
  void callHttp(method, url, headers).finally(() => {
    inFlight--;
  });
}, 1000 / rate);
