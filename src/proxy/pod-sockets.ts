/**
 * How a sidecar's sockets come to be in its pod's network.
 *
 * A process that lives in the pod's namespace opens them as anybody does. One that serves many pods is handed this by
 * whoever may enter namespaces (kernel/pod-sockets.ts); nothing else in the proxy knows of it.
 */

export interface PodSockets {
  /** The descriptor of a bound TCP socket, to listen on; undefined: the process may open it itself. */
  bind(address: string, port: number): number | undefined;
  /** Runs `connect`, in which Node is asked to connect to an address, and returns what it returns. */
  connecting<S>(connect: () => S): S;
}

export const ownNetwork: PodSockets = {
  bind: () => undefined,
  connecting: (connect) => connect(),
};
