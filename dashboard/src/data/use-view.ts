/**
 * A view of the server's, asked for again whenever the live stream brings something new, at most once a second.
 *
 * What was last answered stays while the server is away or a question is under way; another path starts anew.
 */

import { useEffect, useRef, useState } from "react";
import { ask, ServerError } from "./ask.ts";
import { useLive } from "./live.ts";

export interface View<T> {
  readonly value?: T;
  readonly receivedAt?: number;
  /** Why the last question had no answer; undefined once one has come again. */
  readonly error?: ServerError;
}

const leastMs = 1_000;
const unpromptedMs = 5_000; // without traffic there are no events, and pods come and go all the same

export function useView<T>(path: string): View<T> {
  const { receivedAt: tick } = useLive();
  const [view, setView] = useState<View<T> & { readonly path: string }>({ path });
  const askedAt = useRef(Number.NEGATIVE_INFINITY);
  const asking = useRef<AbortController | undefined>(undefined);
  const [wake, setWake] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another path is another view
  useEffect(() => {
    askedAt.current = Number.NEGATIVE_INFINITY;
    return () => {
      asking.current?.abort();
      asking.current = undefined;
    };
  }, [path]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: tick and wake are what makes it ask again
  useEffect(() => {
    const again = window.setTimeout(() => setWake((n) => n + 1), unpromptedMs);
    const stop = () => clearTimeout(again);
    if (asking.current !== undefined || performance.now() - askedAt.current < leastMs) return stop;
    askedAt.current = performance.now();
    const controller = new AbortController();
    asking.current = controller;
    const done = (next: (old: View<T>) => View<T>) => {
      if (controller.signal.aborted) return;
      asking.current = undefined;
      setView((old) => ({ ...next(old.path === path ? old : {}), path }));
    };
    ask<T>(path, controller.signal).then(
      (value) => done(() => ({ value, receivedAt: Date.now() })),
      (error: unknown) => {
        const known =
          error instanceof ServerError ? error : new ServerError(0, "the answer cannot be read");
        done((old) => ({ ...old, error: known }));
      },
    );
    return stop;
  }, [path, tick, wake]);

  return view.path === path ? view : {};
}
