/** Policy is never late: what is denied from the start sends nothing, not even with its first instruction. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { present } from "../../src/base/error.ts";
import { underlayNetns } from "../../src/lab/names.ts";
import type { PodStatus } from "../../src/lab/status.ts";
import { projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";
import { capture, overlaySources } from "./capture.ts";

const rounds = 10;
const podsPerRound = 10;

describe("a pod that is denied egress", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  let listeners: readonly PodStatus[];

  before(async () => {
    lab = await startLab({
      files: [join(projectRoot, "test/e2e/manifests/never-late.yaml")],
      images: `
images:
  - match: "heddle.dev/listener:*"
    command: [${process.execPath}, ${join(projectRoot, "test/e2e/clients/listener.ts")}]
  - match: "heddle.dev/shouter:*"
    command: [bash, -c, '${shout}', shout]
`,
    });
    listeners = await lab.pods("listener-");
  });
  after(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  /** Addresses that a packet was heard from, by both listeners. */
  async function heard(): Promise<Set<string>> {
    const all = await Promise.all(
      listeners.map(({ name }) => lab.request(name, "http://127.0.0.1:9998/")),
    );
    return new Set(all.flatMap(({ body }) => JSON.parse(body) as string[]));
  }

  async function shouters(round: string, denied: boolean): Promise<readonly PodStatus[]> {
    const targets = listeners.map(({ ip }) => present(ip, "address of a listener"));
    const names = Array.from({ length: podsPerRound }, (_, i) => `shouter-${round}-${i}`);
    const manifest = names
      .map((name, i) => shouter(name, denied, i % 2 === 0, targets))
      .join("---\n");
    await lab.apply(manifest);
    const running = await lab.until(
      `round ${round} runs`,
      async () => {
        const pods = await lab.pods(`shouter-${round}-`);
        return pods.length === podsPerRound && pods.every(({ ready }) => ready) && pods;
      },
      60_000,
    );
    await lab.delete(manifest);
    await lab.until(
      `round ${round} is gone`,
      async () => (await lab.pods("shouter-")).length === 0,
    );
    return running;
  }

  test("is heard as soon as it runs where nothing denies it (the control)", async () => {
    const wire = await capture(underlayNetns(lab.name), "br0", "udp", "port", "4789");
    const pods = await shouters("control", false);
    const sources = overlaySources(await wire.stop());
    const known = await heard();
    for (const { name, ip } of pods) {
      assert.ok(known.has(ip ?? ""), `${name} was heard`);
      assert.ok(sources.has(ip ?? ""), `${name} was seen between the hosts`);
    }
  });

  test(`sends not one packet in ${rounds * podsPerRound} starts, with and without a sidecar`, async () => {
    const before = await heard();
    const wire = await capture(underlayNetns(lab.name), "br0", "udp", "port", "4789");
    const denied: PodStatus[] = [];
    for (let round = 0; round < rounds; round++)
      denied.push(...(await shouters(`r${round}`, true)));
    const sources = overlaySources(await wire.stop());
    assert.equal(denied.length, rounds * podsPerRound);
    const now = await heard();
    const addresses = new Set(denied.map(({ ip }) => present(ip, "address of a denied pod")));
    // Addresses of the control's pods may come again: what counts is what was heard since.
    const leaked = [...addresses].filter(
      (ip) => sources.has(ip) || (now.has(ip) && !before.has(ip)),
    );
    assert.deepEqual(leaked, []);
  });
});

/** Sends to every target for ever, over UDP and TCP, from the first instruction on; nearly all of it without a fork. */
const shout =
  'for to in "$@"; do echo x >/dev/udp/$to/9999; (while :; do exec 3<>/dev/tcp/$to/9999; sleep 0.2; done) & done; while :; do for to in "$@"; do echo x >/dev/udp/$to/9999; done; sleep 0.2; done 2>/dev/null';

function shouter(
  name: string,
  denied: boolean,
  meshed: boolean,
  targets: readonly string[],
): string {
  return `
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  labels: { app: shouter, egress: "${denied ? "denied" : "open"}", sidecar.istio.io/inject: "${meshed}" }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: shouter, image: "heddle.dev/shouter:1", args: [${targets.map((ip) => `"${ip}"`).join(", ")}] }
`;
}
