/**
 * A service for examples and tests: says who it is and what it was asked, after calling the services it depends on.
 *
 *     SERVICE=cart VERSION=v1 PORTS=8080,8081
 *     CALLS="/ -> GET http://catalogue/products
 *            /checkout -> POST http://payments/pay
 *            /checkout -> tcp://database:5432/GET orders"
 *
 * The longest matching path prefix of CALLS decides what is called, all at once. An upstream that fails (no answer, or
 * 5xx) makes the answer 502; what upstreams said is part of the answer. `?delay=MS` waits first, `?status=N` answers N.
 */

import { callTcp } from "./line-client.ts";
import { type Answer, callHttp, forwardedHeaders, podName, serveHttp } from "./serving.ts";

interface Call {
  readonly prefix: string;
  readonly method: string;
  readonly url: string;
}

const service = process.env["SERVICE"] ?? "echo";
const version = process.env["VERSION"] ?? "v1";
const ports = (process.env["PORTS"] ?? "8080").split(",").map(Number);
const calls = parseCalls(process.env["CALLS"] ?? "");

serveHttp(ports, async (request, url, body): Promise<Answer> => {
  const { pathname } = url;
  const delayMs = Number(url.searchParams.get("delay") ?? 0);
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  const headers = forwardedHeaders(request);
  const upstreams = await Promise.all(
    callsFor(pathname).map(({ method, url: to }) =>
      to.startsWith("tcp://") ? callTcp(to) : callHttp(method, to, headers),
    ),
  );
  const failed = upstreams.some(({ status }) => status === 0 || status >= 500);
  return {
    status: Number(url.searchParams.get("status") ?? (failed ? 502 : 200)),
    body: {
      service,
      version,
      pod: podName,
      method: request.method,
      path: request.url,
      headers: request.headers,
      ...(body === "" ? {} : { body }),
      upstreams,
    },
  };
});

function callsFor(path: string): Call[] {
  const matching = calls.filter(({ prefix }) => path.startsWith(prefix));
  const longest = Math.max(0, ...matching.map(({ prefix }) => prefix.length));
  return matching.filter(({ prefix }) => prefix.length === longest);
}

function parseCalls(text: string): Call[] {
  const lines = text.split("\n").map((line) => line.trim());
  return lines
    .filter((line) => line !== "")
    .map((line) => {
      const found = /^(\/\S*) -> (?:([A-Z]+) (http:\S+)|(tcp:.+))$/.exec(line);
      if (found === null) throw new Error(`CALLS: cannot read "${line}"`);
      const [, prefix = "/", method = "GET", http, tcp] = found;
      return { prefix, method, url: http ?? tcp ?? "" };
    });
}
