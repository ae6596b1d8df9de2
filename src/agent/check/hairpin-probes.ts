/**
 * Whether pods of this node reach themselves through a Service, tried with real packets: a TCP connection from a pod's
 * own namespace to the address of a Service that has this pod alone for an endpoint.
 *
 * Whatever comes back counts, a refusal as well: it has been there and back, and nobody need listen. Of pods with a
 * sidecar nothing is tried, since it takes such a connection before it leaves; nor where no Service is a pod's alone.
 */

import { connect } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { renderError } from "../../base/error.ts";
import { type NetnsSockets, socketsByNetns } from "../../kernel/pod-sockets.ts";
import type { ServiceView } from "../../model/node-view.ts";

/** A pod that has no sidecar. */
export interface PlainPod {
  readonly namespace: string;
  readonly name: string;
  readonly netns: string;
  readonly addresses: readonly string[];
}

/** A few show what rules for all of them do. */
const mostPods = 4;
/** The kernel asks again after a second. */
const patienceMs = 1_500;

/** Those that did not get an answer, as sentences. */
export async function hairpinFaults(
  pods: readonly PlainPod[],
  services: readonly ServiceView[],
  clock: Clock,
): Promise<readonly string[]> {
  const tried = ownServices(pods, services);
  const socketsOf = socketsByNetns();
  const faults = await Promise.all(
    tried.map(async ({ pod, name, address, port }) => {
      const fault = await tryConnect(socketsOf, pod.netns, { address, port }, clock);
      return fault === undefined
        ? []
        : [
            `pod ${pod.namespace}/${pod.name} asked ${address} port ${port}, Service ${name}, which leads to itself: ${fault}`,
          ];
    }),
  );
  return faults.flat();
}

interface OwnService {
  readonly pod: PlainPod;
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

/** One of each pod that has one, of a few pods. */
function ownServices(
  pods: readonly PlainPod[],
  services: readonly ServiceView[],
): readonly OwnService[] {
  const podAt = new Map(pods.flatMap((pod) => pod.addresses.map((each) => [each, pod] as const)));
  const found = new Map<PlainPod, OwnService>();
  for (const { namespace, name, clusterIp: address, ports } of services) {
    if (address === undefined) continue;
    for (const { protocol, port, endpoints } of ports) {
      const pod = podAt.get(endpoints[0]?.address ?? "");
      if (protocol !== "TCP" || pod === undefined || found.has(pod)) continue;
      if (endpoints.some((each) => podAt.get(each.address) !== pod)) continue;
      found.set(pod, { pod, name: `${namespace}/${name}`, address, port });
    }
    if (found.size >= mostPods) break;
  }
  return [...found.values()];
}

/** Why nothing came back; undefined where something did. */
async function tryConnect(
  socketsOf: (path: string) => NetnsSockets,
  netns: string,
  { address, port }: { readonly address: string; readonly port: number },
  clock: Clock,
): Promise<string | undefined> {
  let sockets: NetnsSockets;
  try {
    sockets = socketsOf(netns);
  } catch {
    return undefined; // the pod is going
  }
  const over = new AbortController();
  const socket = sockets.connecting(() => connect({ host: address, port }));
  const answered = new Promise<string | undefined>((resolve) => {
    socket.once("connect", () => resolve(undefined));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ECONNREFUSED" ? undefined : renderError(error)),
    );
  });
  const late = clock.sleep(patienceMs, over.signal).then(
    () => `no answer within ${patienceMs / 1_000} s`,
    () => undefined,
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    over.abort();
    socket.destroy();
    sockets.close();
  }
}
