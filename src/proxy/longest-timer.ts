/** What Node's timers wait at most, in ms: 24 days. A longer wait they take for one of 1 ms, again and again. */
export const longestTimerMs: number = 2 ** 31 - 1;
