/**
 * Waits for something no longer than a signal lets it; what is waited for goes on, and its failure is nobody's then.
 */

/** Rejects with what `late` makes where the signal aborts first. */
export async function within<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  late: () => Error,
): Promise<T> {
  const over = Promise.withResolvers<never>();
  const giveUp = () => over.reject(late());
  if (signal.aborted) giveUp();
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    return await Promise.race([promise, over.promise]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}
