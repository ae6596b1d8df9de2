/** The words that Node gets to run a sidecar; whoever measures one starts it with the same. */

/**
 * A sidecar's garbage dies young, so that a small young generation costs it nothing; left alone it grows to 48 MB under
 * load (bench/README.md, sidecar-memory).
 */
export const sidecarNodeOptions: readonly string[] = ["--max-semi-space-size=2"];
