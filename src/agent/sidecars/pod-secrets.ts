/**
 * The certificate of one pod's sidecar: asked for at once, renewed at half of its life, never on disk.
 *
 * A renewal that fails is tried again with growing pauses while the old certificate still serves; sidecars hear of
 * each new one through the relay.
 */

import { backoffMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { renderError } from "../../base/error.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import type { Secret } from "../../model/proxy-config.ts";
import { Latest } from "../latest.ts";
import type { IssuedIdentity, MeshUpstream, PodReference, SecretSource } from "./upstream.ts";

const retry = { baseMs: 100, maxMs: 30_000 };

export interface PodSecretsDeps {
  readonly mesh: MeshUpstream;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class PodSecrets implements SecretSource {
  readonly #secrets = new Latest<readonly Secret[]>();

  current(): readonly Secret[] {
    return this.#secrets.get() ?? [];
  }

  changes(signal: AbortSignal): AsyncIterable<readonly Secret[]> {
    return this.#secrets.changes(signal);
  }

  /** Keeps a valid certificate until the signal aborts. */
  async keep(
    pod: PodReference,
    spiffeId: string,
    deps: PodSecretsDeps,
    signal: AbortSignal,
  ): Promise<void> {
    for (let attempt = 0; !signal.aborted; ) {
      let pauseMs: number;
      try {
        const identity = await deps.mesh.issue(pod, spiffeId, signal);
        this.#secrets.set(secretsOf(identity));
        attempt = 0;
        // Half of what is left, less up to a tenth, so that a node's pods do not all renew at once.
        const lifeMs = identity.notAfterMs - deps.clock.now();
        pauseMs = Math.max(1_000, lifeMs * (0.5 - deps.random() / 10));
      } catch (error) {
        if (signal.aborted) return;
        deps.log.warn("certificate is not issued", { error: renderError(error), attempt });
        pauseMs = backoffMs(attempt++, retry, deps.random);
      }
      await deps.clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  }
}

/** Under the names that Istio's proxies ask for. */
function secretsOf(identity: IssuedIdentity): readonly Secret[] {
  return [
    { kind: "certificate", name: "default", chain: identity.chain, key: identity.key },
    { kind: "validation", name: "ROOTCA", roots: identity.roots },
  ];
}
