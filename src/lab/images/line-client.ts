/** Asks a server that greets first and then answers line by line, as `tiny-database` does. */

import { connect } from "node:net";
import type { UpstreamAnswer } from "./serving.ts";

const timeoutMs = 10_000;

/** `tcp://host:port/COMMAND words`: one connection, one command; status 200, or 0 with the reason. */
export function callTcp(url: string): Promise<UpstreamAnswer> {
  const [, host = "", port = "", command = ""] = /^tcp:\/\/([^:/]+):(\d+)\/(.*)$/.exec(url) ?? [];
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    let text = "";
    const end = (status: number, body: string) => {
      socket.destroy();
      resolve({ url, status, body });
    };
    socket.setTimeout(timeoutMs, () => end(0, `no answer after ${timeoutMs} ms`));
    socket.once("error", (error) => end(0, error.message));
    socket.once("close", () => end(0, "closed before it answered"));
    socket.on("data", (chunk) => {
      const before = text;
      text += chunk.toString();
      // The greeting is the first line: only then is it our turn.
      if (!before.includes("\n") && text.includes("\n")) socket.write(`${command}\n`);
      const answer = text.split("\n")[1];
      if (answer !== undefined && text.endsWith("\n") && answer !== "") end(200, answer);
    });
  });
}
