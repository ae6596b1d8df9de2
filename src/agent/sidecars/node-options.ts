/** The words that Node gets to run a sidecar; whoever measures one starts it with the same. */

/**
 * A sidecar's garbage dies young, so that a small young generation costs it nothing; left alone it grows to 48 MB under
 * load (bench/README.md, sidecar-memory). And it is collected in half a millisecond, unless that waits until helpers on
 * other threads had their turn too: 2 to 4 ms, in which nothing is answered (sidecar-pair).
 */
export const sidecarNodeOptions: readonly string[] = [
  "--max-semi-space-size=2",
  "--no-parallel-scavenge",
];
