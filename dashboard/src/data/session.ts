/**
 * Whether this browser is signed in.
 *
 * A lab prints an address with the token in its fragment. It is taken out of the address before anything else happens,
 * so that it stays in no history and no bookmark, and is given once for a cookie that scripts cannot read.
 */

import { useSyncExternalStore } from "react";
import { messageOf } from "./ask.ts";

export type SessionState =
  | { readonly kind: "asking" }
  | { readonly kind: "signed-in" }
  | { readonly kind: "signed-out"; readonly problem?: string };

const path = "/heddle/v1/session";
let state: SessionState = { kind: "asking" };
const listeners = new Set<() => void>();

export function useSession(): SessionState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => state,
  );
}

/** With the token of the address where there is one, else with what the browser has from before. */
export async function openSession(): Promise<void> {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token !== undefined) {
    history.replaceState(null, "", location.pathname);
    return signIn(decodeURIComponent(token));
  }
  const response = await fetch(path, { cache: "no-store" }).catch(() => undefined);
  if (response === undefined) become({ kind: "signed-out", problem: "the server does not answer" });
  else become(response.ok ? { kind: "signed-in" } : { kind: "signed-out" });
}

export async function signIn(token: string): Promise<void> {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: token.trim() }),
  }).catch(() => undefined);
  if (response?.ok) become({ kind: "signed-in" });
  else {
    const problem =
      response === undefined ? "the server does not answer" : await messageOf(response);
    become({ kind: "signed-out", problem });
  }
}

export async function signOut(): Promise<void> {
  await fetch(path, { method: "DELETE" }).catch(() => undefined);
  become({ kind: "signed-out" });
}

export function announceSignedOut(): void {
  if (state.kind === "signed-in") {
    become({ kind: "signed-out", problem: "the session has ended: sign in again" });
  }
}

function become(next: SessionState): void {
  state = next;
  for (const listener of listeners) listener();
}
