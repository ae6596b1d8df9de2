/**
 * Requests to the server that the page came from, with the browser's session.
 *
 * The types of answers are the server's own (`src/model`), of the same build as the page: an answer is taken as what it
 * says it is.
 */

import { announceSignedOut } from "./session.ts";

export class ServerError extends Error {
  /** HTTP status; 0 where there was no answer. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Throws ServerError; one for 401 also brings the sign-in back. */
export async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(path, {
    cache: "no-store",
    headers: { accept: "application/json" },
    ...(signal && { signal }),
  }).catch((cause: unknown) => {
    if (signal?.aborted) throw cause;
    throw new ServerError(0, "the server does not answer");
  });
  if (response.ok) return parse<T>(await response.text());
  if (response.status === 401) announceSignedOut();
  throw new ServerError(response.status, await messageOf(response));
}

/** The message of a Status object, or what the code says. */
export async function messageOf(response: Response): Promise<string> {
  try {
    const { message } = parse<{ readonly message?: string }>(await response.text());
    if (message !== undefined) return message;
  } catch {
    // Not from our server: something between.
  }
  return `the server answered ${response.status} ${response.statusText}`.trim();
}

function parse<T>(text: string): T {
  return JSON.parse(text) as T;
}
