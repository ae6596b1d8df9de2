/**
 * A fake node as a process of its own, on the running kernel: for tests that kill an agent.
 *
 * Arguments: the namespace to live in, the directory, and the names of the pods that its view shows. Prints a line when
 * it listens. A successor in the same directory finds what the killed one left.
 */

import { openKernelDriver } from "../../kernel/netlink-driver.ts";
import { enterNetns } from "../../kernel/netns.ts";
import { startFakeNode } from "./node.ts";

const [netns = "", directory = "", ...pods] = process.argv.slice(2);
enterNetns(netns);
const node = await startFakeNode({ driver: openKernelDriver(), directory, spareSidecars: 1 });
node.showPods(pods.map((name) => ({ name, meshed: name.startsWith("meshed") })));
process.stdout.write("listening\n");
process.once("SIGTERM", () => void node.stop().then(() => process.exit(0)));
