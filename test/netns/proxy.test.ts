/** A sidecar in a namespace, behind the real capture rules: what the kernel hands it goes where it wanted to go. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { inNetns } from "../../src/kernel/netns.ts";
import { ports, proxyUid } from "../../src/model/names.ts";
import { needsRoot, Scratch } from "./kernel-scratch.ts";
import {
  curl,
  outsideAddress,
  overSocket,
  podAddress,
  podAndOutside,
  serve,
  startLoad,
  startSidecar,
} from "./pod-with-sidecar.ts";

describe("a sidecar in a pod's namespace", { skip: needsRoot }, () => {
  test("takes what is captured both ways to where it was going, as its own user, and ends when told", async () => {
    using scratch = new Scratch();
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-proxy-"));
    scratch.defer(() => rmSync(folder, { recursive: true, force: true }));
    const { pod, outside } = podAndOutside(scratch);
    await serve(scratch, pod, 8080, "application");
    await serve(scratch, outside, 80, "outside");

    const adminSocket = join(folder, "admin.sock");
    const proxy = await startSidecar(scratch, folder, pod, adminSocket);
    const uids = /^Uid:\s+(\d+)\s+(\d+)/m.exec(readFileSync(`/proc/${proxy.pid}/status`, "utf8"));
    assert.deepEqual(uids?.slice(1), [String(proxyUid), String(proxyUid)]);

    assert.equal(await curl(pod, `http://${outsideAddress}/`), "outside");
    assert.equal(await curl(outside, `http://${podAddress}:8080/`), "application");
    assert.equal(
      await curl(outside, `http://${podAddress}:${ports.readiness}/healthz/ready`),
      "LIVE\n",
    );
    const stats = await curl(outside, `http://${podAddress}:${ports.metrics}/stats/prometheus`);
    assert.match(stats, /istio_requests_total\{reporter="destination"[^}]*response_code="200"/);
    assert.match(stats, /istio_tcp_connections_opened_total\{reporter="source"/);

    const dump = await overSocket(adminSocket, "/config_dump");
    assert.equal(JSON.parse(dump).configs[1].version_info, "7");
    assert.match(await overSocket(adminSocket, "/listeners"), /virtualInbound::0\.0\.0\.0:15006/);
    assert.equal(await overSocket(adminSocket, "/ready"), "LIVE\n");

    proxy.kill("SIGTERM");
    const [code] = await once(proxy, "exit");
    assert.equal(code, 0);
  });

  test("is taken over by another while it serves, and no connection is refused or broken", async () => {
    using scratch = new Scratch();
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-proxy-"));
    scratch.defer(() => rmSync(folder, { recursive: true, force: true }));
    const { pod, outside } = podAndOutside(scratch);
    await serve(scratch, pod, 8080, "application");
    await serve(scratch, outside, 80, "outside");
    chownSync(folder, proxyUid, proxyUid); // as the agent does
    const adminSocket = join(folder, "admin.sock");
    const first = await startSidecar(scratch, folder, pod, adminSocket);
    const script = `exec 3<>/dev/tcp/${outsideAddress}/80; cat <&3 & exec cat >&3`;
    const tunnel = inNetns(pod, () =>
      spawn("bash", ["-c", script], { stdio: "pipe", detached: true }),
    );
    const closeTunnel = () => {
      if (tunnel.exitCode === null) process.kill(-(tunnel.pid ?? 0), "SIGKILL");
    };
    scratch.defer(closeTunnel);
    const asked = async () => {
      tunnel.stdin.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      const [bytes] = (await once(tunnel.stdout, "data")) as [Buffer];
      return bytes.toString().split("\r\n")[0];
    };
    assert.equal(await asked(), "HTTP/1.1 200 OK");

    const load = startLoad(outside, `http://${podAddress}:8080/`, 4);
    let before: ChildProcess = first;
    for (let i = 0; i < 2; i++) {
      const next = await startSidecar(scratch, folder, pod, adminSocket, {
        predecessor: before.pid,
      });
      before.kill("SIGUSR2");
      before = next;
    }
    assert.match(await load, /requests in/);
    assert.doesNotMatch(await load, /Socket errors|Non-2xx/);
    assert.equal(
      await asked(),
      "HTTP/1.1 200 OK",
      "a tunnel goes on in the process that it began in",
    );
    assert.equal(first.exitCode, null);
    closeTunnel();
    await once(first, "exit");
    assert.equal(await overSocket(adminSocket, "/ready"), "LIVE\n");
    assert.equal(
      await curl(outside, `http://${podAddress}:${ports.readiness}/healthz/ready`),
      "LIVE\n",
    );
  });

  test("that cannot be what it is told to be says why", async () => {
    using scratch = new Scratch();
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-proxy-"));
    scratch.defer(() => rmSync(folder, { recursive: true, force: true }));
    const adminSocket = join(folder, "admin.sock");
    await assert.rejects(
      startSidecar(scratch, folder, "/run/netns/heddle-test-absent", adminSocket),
      /heddle-test-absent/,
    );
  });
});
