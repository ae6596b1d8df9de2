/** Debian's Podman with its CNI backend on Heddle's network: start, reach, publish, limit, select, stop. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Pod, Service } from "../../src/api/k8s/core.ts";
import { Machine, machineAddress, type Output, skipWithout } from "./machine.ts";

const skip = skipWithout("/usr/bin/podman", "/usr/sbin/runc");

/** The network backend, and limits that a container engine below another one may set. */
const configuration = `
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
default_network = "heddle"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
`;

describe("Podman on Heddle's network", { skip }, () => {
  let machine: Machine;

  before(async () => {
    machine = await Machine.start();
    writeFileSync(machine.outside("/run/d/containers.conf"), configuration);
  });
  after(async () => machine[Symbol.asyncDispose]());

  test("gives a container an address, a published port, its name and labels, and takes all of it back", async () => {
    await runServer("web", "-p", "8080:80", "--label", "app=web", "--label", "maintainer=A <a@b>");
    const pod = await running("web");
    assert.deepEqual(pod.metadata.labels, { app: "web", ...notMeshed });
    assert.equal(await fetched(`http://${machineAddress}:8080/`), "web");
    assert.equal(await fetched("http://127.0.0.1:8080/"), "web");
    assert.equal(await fetched(`http://${pod.status?.podIP}/`), "web");
    const { code, stderr } = await podman(
      "run",
      "--rm",
      "-p",
      "8080:80",
      ...container("twin"),
      "true",
    );
    assert.notEqual(code, 0);
    assert.match(stderr, /8080/);
    await podmanMust("rm", "-f", "-t", "0", "web");
    await gone();
    assert.notEqual(
      (await machine.run("curl", ["-s", "-m", "1", "http://127.0.0.1:8080/"])).code,
      0,
    );
  });

  test("lets containers find each other by Service and name, and policies select them by label", async () => {
    await runServer("db", "--label", "app=db");
    await running("db");
    await machine.connection.client.create(service);
    const asked = async (label: string): Promise<string> => {
      const words = ["sh", "-c", askByName("db")];
      const { stdout } = await podman(
        "run",
        "--rm",
        "--label",
        label,
        ...container("client"),
        ...words,
      );
      return stdout.trim().split("\n").at(-1) ?? "";
    };
    await machine.until("the endpoint", async () => (await asked("app=friend")) === "db");
    await machine.connection.client.create(policy);
    await machine.until("the policy", async () => (await asked("app=stranger")) === "");
    assert.equal(await asked("app=friend"), "db");
    await podmanMust("rm", "-f", "-t", "0", "db");
    await machine.connection.client.delete("NetworkPolicy", "default", "db");
    await gone();
  });

  test("lets a container be found by the aliases that a person gives it, for as long as it runs", async () => {
    await runServer("store-1", "--network-alias", "store", "--network-alias", "Data");
    await running("store-1");
    const asked = async (name: string): Promise<string> => {
      const words = ["sh", "-c", askByName(name)];
      const { stdout } = await podman("run", "--rm", ...container("client"), ...words);
      return stdout.trim().split("\n").at(-1) ?? "";
    };
    for (const name of ["store", "data", "store.default.svc.cluster.local"]) {
      await machine.until(`an answer at ${name}`, async () => (await asked(name)) === "store-1");
    }
    await podmanMust("rm", "-f", "-t", "0", "store-1");
    await machine.until("the alias gone", async () => (await asked("store")) === "");
    await gone();
  });

  test("gives the address and hardware address that a person asks for", async () => {
    const block = (await machine.status()).blocks[0] ?? "";
    const address = block.replace(/\d+\/\d+$/, (end) => `${Number.parseInt(end, 10) + 33}`);
    const words = ["run", "--rm", "--ip", address, "--mac-address", "02:00:00:00:00:33"];
    const output = await podmanMust(
      ...words,
      ...container("fixed"),
      "ip",
      "address",
      "show",
      "eth0",
    );
    assert.match(output, new RegExp(`inet ${address}/32`));
    assert.match(output, /02:00:00:00:00:33/);
    await gone();
  });

  test("keeps a container's network through the agent's restart and its death", async () => {
    await runServer("web", "-p", "8080:80");
    await running("web");
    const { pid } = await machine.status();
    await machine.must("kill", ["-KILL", `${pid}`]);
    assert.equal(await fetched("http://127.0.0.1:8080/"), "web");
    machine.startAgent();
    await machine.until("the next agent", async () => (await machine.status()).inSync);
    assert.equal(await fetched("http://127.0.0.1:8080/"), "web");
    await podmanMust("rm", "-f", "-t", "0", "web");
    await gone();
  });

  function podman(...words: readonly string[]): Promise<Output> {
    const where = ["--root", "/run/d/podman", "--runroot", "/run/d/podman-run"];
    return machine.run("podman", [...where, "--storage-driver", "vfs", ...words], {
      CONTAINERS_CONF: "/run/d/containers.conf",
    });
  }

  async function podmanMust(...words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await podman(...words);
    assert.equal(code, 0, `podman ${words.join(" ")}: ${stdout}${stderr}\n${machine.log("agent")}`);
    return stdout.trim();
  }

  /** A web server that says its name. */
  async function runServer(name: string, ...options: readonly string[]): Promise<void> {
    const script = `mkdir -p /tmp/${name}; echo ${name} >/tmp/${name}/index.html; exec httpd -f -p 80 -h /tmp/${name}`;
    await podmanMust("run", "-d", ...options, ...container(name), "sh", "-c", script);
  }

  async function running(name: string): Promise<Pod> {
    return machine.until(`pod ${name}`, async () => {
      const pod = await machine.connection.client.get<Pod>("Pod", "default", name);
      return pod?.status?.podIP !== undefined && pod.status.phase === "Running" ? pod : undefined;
    });
  }

  async function fetched(url: string): Promise<string> {
    return machine.must("curl", [
      "-s",
      "-m",
      "3",
      "--retry",
      "20",
      "--retry-connrefused",
      "--retry-delay",
      "0",
      url,
    ]);
  }

  /** Nothing is left of any container, in the kernel, with the agent or on the server. */
  async function gone(): Promise<void> {
    const nothing = JSON.stringify({ links: [], attachments: [], addressesInUse: 0 });
    await machine.until("nothing left", async () => (await machine.leftovers()) === nothing);
    await machine.until("no pod left", async () => {
      const { objects } = await machine.connection.client.list("Pod");
      return objects.length === 0;
    });
  }
});

/**
 * By bash, because a static busybox cannot resolve names; by a shell before it, because nobody ends a namespace's first
 * process but itself. Prints the answer with its head.
 */
const askByName = (name: string): string => `timeout 3 bash -c '
  exec 3<>/dev/tcp/${name}/80
  printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3
  cat <&3'
exit $?`;

const notMeshed = { "sidecar.istio.io/inject": "false" };

function container(name: string): readonly string[] {
  const labels = Object.entries(notMeshed).flatMap(([key, value]) => [
    "--label",
    `${key}=${value}`,
  ]);
  return ["--name", name, ...labels, "--rootfs", "/run/rootfs"];
}

const service: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "default", name: "db" },
  spec: { selector: { app: "db" }, ports: [{ port: 80 }] },
};

const policy = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { namespace: "default", name: "db" },
  spec: {
    podSelector: { matchLabels: { app: "db" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: "friend" } } }] }],
  },
};
