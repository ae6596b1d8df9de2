/** A collector of spans: takes OTLP in JSON at POST /v1/traces, and tells at GET /spans what it has. */

import http from "node:http";

const spans: unknown[] = [];

http
  .createServer((request, response) => {
    if (request.method !== "POST") {
      response.end(JSON.stringify(spans));
      return;
    }
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      const [{ resource, scopeSpans }] = JSON.parse(body).resourceSpans;
      const service = resource.attributes[0].value.stringValue;
      for (const span of scopeSpans[0].spans) spans.push({ service, ...span });
      response.end("{}");
    });
  })
  .listen(4318);
process.once("SIGTERM", () => process.exit(0));
