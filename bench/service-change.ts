/**
 * What does one change cost an agent that has 10 000 Services, from the bytes of the change to the rules in force?
 *
 * The agent's own parts in one process: the staged xDS resources with one of them replaced, decoded as a whole; compiled,
 * planned and committed to a real kernel's table in a namespace of the bench's own; tracked connections reconciled.
 * Changes alternate between an endpoint that is another, one more, one fewer, and a Service that goes and comes. The
 * floor is a bare nftables transaction in the same process that replaces two elements of the same table.
 */

import { Dataplane } from "../src/agent/dataplane.ts";
import type { KernelDriver } from "../src/kernel/driver.ts";
import { openKernelDriver } from "../src/kernel/netlink-driver.ts";
import { createNetns, deleteNetns, inNetns } from "../src/kernel/netns.ts";
import { NftContext } from "../src/kernel/nftables.ts";
import type { ServiceView } from "../src/model/node-view.ts";
import { encodeNodeView, nodeViewDecoder } from "../src/wire/xds/node-view.ts";
import { type EncodedResource, typeUrls } from "../src/wire/xds/resources.ts";
import type { BenchResult } from "./result.ts";
import { manyServices, serviceAt, viewOf } from "./service-views.ts";

const services = 10_000;
const changes = 300;
const warmUps = 30;
const aimMs = 20;

interface Figures {
  readonly p50: number;
  readonly p99: number;
  /** Processor time, the kernel's share of it included. */
  readonly cpuP50: number;
  readonly cpuP99: number;
  readonly floorP50: number;
  /** For an agent's successor, that finds the table as it should be: compiling all and reading all back. */
  readonly successorMs: number;
  /** Of the process, after a collection, less what it was before the Services. */
  readonly heapMb: number;
  readonly rssMb: number;
}

export async function run(): Promise<BenchResult> {
  if (process.getuid?.() !== 0) throw new Error("bench service-change: needs root");
  const small = measure(100);
  const middle = measure(1_000);
  const large = measure(services);
  return {
    bench: "service-change",
    unit: `milliseconds for a change among ${services} Services of 4 endpoints (p99)`,
    ours: large.p99,
    floor: large.floorP50,
    rivals: {},
    ratio: { floor: round(large.p99 / large.floorP50), aim: round(large.p99 / aimMs) },
    growth: [
      { n: 100, value: small.p99 },
      { n: 1_000, value: middle.p99 },
      { n: services, value: large.p99 },
    ],
    details: { aimMs, "100": small, "1000": middle, "10000": large },
  };
}

function measure(count: number): Figures {
  const name = `heddle-bench-${process.pid}-${count}`;
  const path = `/run/netns/${name}`;
  createNetns(path);
  const before = memory();
  const driver = inNetns(path, openKernelDriver);
  try {
    const agent = new Agent(driver, count);
    agent.apply();
    const after = memory();
    const took: number[] = [];
    const cpu: number[] = [];
    for (let index = 0; index < changes + warmUps; index++) {
      const start = performance.now();
      const busy = process.cpuUsage();
      agent.change(index);
      agent.apply();
      const { user, system } = process.cpuUsage(busy);
      if (index < warmUps) continue;
      took.push(performance.now() - start);
      cpu.push((user + system) / 1_000);
    }
    return {
      p50: quantile(took, 0.5),
      p99: quantile(took, 0.99),
      cpuP50: quantile(cpu, 0.5),
      cpuP99: quantile(cpu, 0.99),
      successorMs: successor(path, agent),
      floorP50: floor(path),
      heapMb: round(after.heapMb - before.heapMb),
      rssMb: round(after.rssMb - before.rssMb),
    };
  } finally {
    driver.close();
    deleteNetns(path);
  }
}

function successor(path: string, before: Agent): number {
  const driver = inNetns(path, openKernelDriver);
  try {
    const start = performance.now();
    before.successor(driver).apply();
    return round(performance.now() - start);
  } finally {
    driver.close();
  }
}

/** What an agent does between its stream and its kernel. */
class Agent {
  readonly #dataplane: Dataplane;
  readonly #decode = nodeViewDecoder();
  readonly #stage: Map<string, Map<string, EncodedResource>>;
  readonly #count: number;

  constructor(driver: KernelDriver, count: number, stage = stageOf(count)) {
    const silent = { debug() {}, info() {}, warn: fail, error: fail, with: () => silent };
    const clock = { now: () => performance.now(), sleep: () => Promise.resolve() };
    this.#dataplane = new Dataplane({
      driver,
      attachments: [],
      isGone: () => false,
      clock,
      log: silent,
    });
    this.#count = count;
    this.#stage = stage;
  }

  /** On the same resources, with a driver that has not seen the table. */
  successor(driver: KernelDriver): Agent {
    const copied = [...this.#stage].map(([type, named]) => {
      const copies = [...named].map(([name, each]) => [name, { ...each }] as const);
      return [type, new Map(copies)] as const;
    });
    return new Agent(driver, this.#count, new Map(copied));
  }

  /** The bytes of one Service as they would arrive, in place of what was there. */
  change(index: number): void {
    const at = (index * 7919) % this.#count;
    const kinds: readonly (ServiceView | undefined)[] = [
      serviceAt(at, 4, index + 1),
      serviceAt(at, 5, index + 1),
      serviceAt(at, 3, index + 1),
      undefined,
      serviceAt(at, 4),
    ];
    const next = kinds[index % kinds.length];
    const named = this.#stage.get(typeUrls.nodeService) ?? new Map<string, EncodedResource>();
    if (next === undefined) {
      named.delete(`bench/${serviceAt(at, 0).name}`);
      return;
    }
    const encoded = encodeNodeView(viewOf([next])).get(typeUrls.nodeService) ?? new Map();
    for (const [name, resource] of encoded) named.set(name, resource);
  }

  apply(): void {
    this.#dataplane.show(this.#decode(this.#stage));
  }
}

function stageOf(count: number): Map<string, Map<string, EncodedResource>> {
  const resources = encodeNodeView(viewOf(manyServices(count)));
  const stage = new Map([...resources].map(([type, named]) => [type, new Map(named)]));
  for (const type of [typeUrls.nodeWorkload, typeUrls.nodePolicy]) stage.set(type, new Map());
  return stage;
}

function fail(message: string, fields?: object): never {
  throw new Error(`${message} ${JSON.stringify(fields)}`);
}

function floor(path: string): number {
  const nft = inNetns(path, () => new NftContext());
  const took: number[] = [];
  for (let index = 0; index < changes; index++) {
    const from = `0x0fffffff . ${index}`;
    const to = `0x0fffffff . ${index + 1}`;
    const start = performance.now();
    nft.run(
      `${index === 0 ? "" : `delete element inet heddle tcp-endpoints { ${from} : 10.0.0.1 . 80 }\n`}add element inet heddle tcp-endpoints { ${to} : 10.0.0.1 . 80 }\n`,
    );
    took.push(performance.now() - start);
  }
  nft.close();
  return quantile(took, 0.5);
}

function memory(): { readonly heapMb: number; readonly rssMb: number } {
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heapMb: heapUsed / 1e6, rssMb: rss / 1e6 };
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
