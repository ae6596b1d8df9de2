/**
 * What the agent says of itself: `GET /status` on RUN/agent.sock, for people, the lab and tests, and `GET /metrics`;
 * and what it does when asked there: `POST /release?link=NAME` takes back what an attachment has whose pod is gone for
 * good, `POST /resync` compares the kernel with what is wanted, `POST /upgrade-sidecars` has new processes take over from
 * all sidecars.
 *
 * A picture of now, made when asked. No secret is in it.
 */

import { chmodSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { renderError } from "../base/error.ts";
import { renderCidr } from "../base/ip.ts";
import { wireguardLink } from "../model/names.ts";
import { textContentType } from "../telemetry/exposition.ts";
import type { PlanReport } from "./dataplane.ts";
import { renderMetrics } from "./metrics.ts";
import type { NodeParts } from "./node-parts.ts";
import type { SidecarState } from "./sidecars/sidecar.ts";
import type { WorkerStatus } from "./sidecars/workers.ts";

export interface AgentStatus {
  readonly node: string;
  /** On the underlay, the first of `addresses`. */
  readonly address: string;
  readonly addresses: readonly string[];
  readonly pid: number;
  readonly blocks: readonly string[];
  readonly addressesInUse: number;
  /** Parts of blocks that the node may give to its pods. */
  readonly claims: readonly string[];
  /** Addresses that pods have although others hold them by now; empty unless somebody meddled. */
  readonly lostAddresses: readonly string[];
  readonly attachments: readonly AttachmentStatus[];
  readonly spareSidecars: number;
  /** Processes that are the sidecars of many pods; each pod's names its own. */
  readonly workers: readonly WorkerStatus[];
  readonly viewVersion?: string;
  /** The kernel has what the newest view and the attachments say. */
  readonly inSync: boolean;
  readonly lastPlan?: PlanReport;
  /** `on`, or what takes a longer path although it could take a shorter one, and why. */
  readonly fastPath: string;
  /** `on`, or whether the node could encrypt what goes to other nodes, or why it cannot. */
  readonly wireguard: string;
  /** Whom the encrypted overlay speaks to; absent where there is none. */
  readonly wireguardPeers?: readonly WireguardPeerStatus[];
  readonly diagnostics: readonly string[];
}

export interface WireguardPeerStatus {
  /** Empty where the key is no node's: only until the next look at the device. */
  readonly node: string;
  readonly publicKey: string;
  readonly endpoint: string;
  /** Since the last handshake; they come every two minutes while anything is sent. Absent: there was none. */
  readonly handshakeAgeSeconds?: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface AttachmentStatus {
  readonly containerId: string;
  readonly ifName: string;
  readonly pod: string;
  readonly uid: string;
  /** The primary one of `addresses`. */
  readonly address: string;
  readonly addresses: readonly string[];
  readonly link: string;
  readonly netns: string;
  readonly phase: string;
  /** Why its link is not as wanted. */
  readonly fault?: string;
  readonly sidecar?: SidecarState & {
    readonly restarts: number;
    readonly adminSocket: string;
    readonly logFile: string;
  };
}

export interface Identity {
  readonly viewVersion: () => string | undefined;
}

export function agentStatus(parts: NodeParts, identity: Identity): AgentStatus {
  const viewVersion = identity.viewVersion();
  const { lastPlan } = parts.dataplane;
  return {
    node: parts.node,
    address: parts.underlay.addresses[0] ?? "",
    addresses: parts.underlay.addresses,
    pid: process.pid,
    blocks: parts.ipam.blocks.map(renderCidr),
    addressesInUse: parts.ipam.inUse,
    claims: parts.ipam.held.map(renderCidr),
    lostAddresses: parts.ipam.lost,
    attachments: parts.attachments.all().map(({ attachment, phase, sidecar }) => {
      const running =
        sidecar === undefined ? undefined : parts.sidecars.get(attachment.containerId);
      const fault = parts.dataplane.brokenLinks.get(attachment.hostLink);
      return {
        containerId: attachment.containerId,
        ifName: attachment.ifName,
        pod: `${attachment.namespace}/${attachment.name}`,
        uid: attachment.uid,
        address: attachment.addresses[0] ?? "",
        addresses: attachment.addresses,
        link: attachment.hostLink,
        netns: attachment.netns,
        phase,
        ...(fault === undefined ? {} : { fault }),
        ...(running === undefined
          ? {}
          : {
              sidecar: {
                ...running.state,
                restarts: running.restarts,
                adminSocket: running.adminSocket,
                logFile: running.logFile,
              },
            }),
      };
    }),
    spareSidecars: parts.sidecars.spares,
    workers: parts.sidecars.workers,
    ...(viewVersion === undefined ? {} : { viewVersion }),
    inSync: parts.dataplane.inSync,
    ...(lastPlan === undefined ? {} : { lastPlan }),
    fastPath: parts.driver.fastPathStatus(),
    ...wireguardStatus(parts),
    diagnostics: parts.dataplane.diagnostics.map(
      ({ code, where, message }) => `${code} ${where}: ${message}`,
    ),
  };
}

function wireguardStatus({
  driver,
  dataplane,
  clock,
}: NodeParts): Pick<AgentStatus, "wireguard" | "wireguardPeers"> {
  const missing = driver.missing.get("wireguard") ?? dataplane.brokenLinks.get(wireguardLink);
  if (missing !== undefined) return { wireguard: missing };
  const found = driver.wireguard();
  const { settings, nodes = [] } = dataplane.views.get() ?? {};
  if (found === undefined) {
    const isWanted = settings?.encap.kind === "wireguard";
    return {
      wireguard: isWanted
        ? "wanted, and the device is gone or does not answer: the next look puts it right, or says why not"
        : "available, and the network does not ask for it",
    };
  }
  return {
    wireguard: `on, by ${found.maker === "kernel" ? "the kernel" : found.maker}`,
    wireguardPeers: found.device.peers.map((peer) => ({
      node: nodes.find(({ wireguardKey }) => wireguardKey === peer.publicKey)?.name ?? "",
      publicKey: peer.publicKey,
      endpoint: peer.endpoint,
      ...(peer.handshakeAt === undefined
        ? {}
        : { handshakeAgeSeconds: Math.max(0, Math.round(clock.now() / 1000 - peer.handshakeAt)) }),
      receivedBytes: peer.receivedBytes,
      sentBytes: peer.sentBytes,
    })),
  };
}

/** What the socket answers from. */
export interface Inside {
  readonly status: () => AgentStatus;
  /** Takes back what the attachment with this link has; false where there is none. */
  readonly release: (link: string) => Promise<boolean>;
  /** Compares the kernel with what is wanted, and repairs the difference; rejects where the kernel refuses. */
  readonly resync: () => Promise<void>;
  /** Answers which pods' sidecars go on with the old process, and why. */
  readonly upgradeSidecars: () => Promise<ReadonlyMap<string, string>>;
}

/** Serves the status until disposed. Only root may ask. */
export async function serveStatus(path: string, inside: Inside): Promise<AsyncDisposable> {
  rmSync(path, { force: true });
  const server = createServer((request, response) => {
    const answerStatus = () => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(`${JSON.stringify(inside.status())}\n`);
    };
    const refuse = (code: number, text: string) => {
      response.writeHead(code, { "content-type": "text/plain" });
      response.end(`${text}\n`);
    };
    const url = new URL(request.url ?? "/", "http://agent");
    const wanted = `${request.method} ${url.pathname}`;
    if (wanted === "GET /status") return answerStatus();
    if (wanted === "GET /metrics") {
      response.writeHead(200, { "content-type": textContentType });
      response.end(renderMetrics(inside.status()));
      return;
    }
    if (wanted === "POST /resync") {
      inside.resync().then(answerStatus, (error: unknown) => refuse(500, renderError(error)));
      return;
    }
    if (wanted === "POST /upgrade-sidecars") {
      void inside.upgradeSidecars().then((failed) => {
        const lines = [...failed].map(([pod, reason]) => `${pod}: ${reason}`);
        if (failed.size === 0) answerStatus();
        else refuse(500, lines.join("\n"));
      });
      return;
    }
    if (wanted !== "POST /release") {
      return refuse(
        404,
        `no such path: ${request.url}; there are GET /status, GET /metrics, POST /resync, POST /upgrade-sidecars and POST /release?link=NAME`,
      );
    }
    const link = url.searchParams.get("link") ?? "";
    inside.release(link).then(
      (done) => (done ? answerStatus() : refuse(404, `no attachment with link "${link}"`)),
      (error: unknown) => refuse(500, renderError(error)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
