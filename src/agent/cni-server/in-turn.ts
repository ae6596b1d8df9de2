/**
 * Calls one after the other: those of an attachment, and those of a container, whose interfaces share a sidecar,
 * capture and the Pod object. Runtimes call for all networks of a container at once.
 *
 * Who interrupts, interrupts the calls of his own attachment alone.
 */

import type { AttachmentKey } from "../../wire/cni/request.ts";
import { keyText } from "../attachments.ts";
import type { Turns } from "../turns.ts";

/** Runs `work` when what was asked for earlier has ended. It is run also where it was interrupted while it waited. */
export function inTurn<T>(
  turns: Turns,
  key: AttachmentKey,
  options: { readonly interrupt: boolean; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  // Whoever has the container's turn waits for no attachment's, so nobody waits for himself.
  return turns.run(keyText(key), options, (signal) =>
    turns.run(key.containerId, { interrupt: false, signal }, work),
  );
}

/** Whether a call would wait. */
export function isTurnTaken(turns: Turns, key: AttachmentKey): boolean {
  return turns.isTaken(keyText(key)) || turns.isTaken(key.containerId);
}
