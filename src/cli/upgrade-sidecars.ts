/**
 * Asks an agent to have new processes take over from its sidecars; says which pods go on with the old ones, and why.
 */

import { MeshError } from "../base/error.ts";
import { httpTransport } from "../rpc/http-transport.ts";

/** Throws `cli.agent` where one could not be upgraded, or the agent does not answer. */
export async function upgradeSidecars(socket: string): Promise<void> {
  const transport = httpTransport({ kind: "socket", path: socket });
  try {
    const { code, body } = await transport.send({ method: "POST", path: "/upgrade-sidecars" });
    if (code === 200) return;
    const said = typeof body === "string" ? `:\n${body.trim()}` : "";
    throw new MeshError("cli.agent", `upgrade sidecars by the agent at ${socket}: ${code}${said}`, {
      fault: "peer",
    });
  } finally {
    transport.close();
  }
}
