/**
 * Asks the same things over and over, each at its own pace, and remembers what was never answered or was cut off: what a
 * pod sees of a network whose agent comes and goes.
 *
 * `steady-client.ts STREAMS`, a list of `Stream` in JSON. Prints `ready` when every stream has had an answer; when its
 * standard input ends it waits for what is still unanswered and prints one line, a `SteadyReport`. Nothing is asked twice.
 */

import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";

export interface Stream {
  readonly name: string;
  /** `kept` asks on one connection, or from one port, all the time; `new` on another each time. */
  readonly kind: "kept" | "new";
  readonly protocol: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  readonly everyMs: number;
  /** What is sent, in hex; one answer is as much as came at once, for the servers here answer in one piece. */
  readonly question: string;
}

/** By name of the stream. */
export type SteadyReport = Readonly<
  Record<string, { readonly asked: number; readonly lost: readonly string[] }>
>;

const patienceMs = 8_000;
/** Who stands still with more waiting than its socket holds loses some: it is not asked further then. */
const mostWaiting = 100;

interface Asking {
  asked: number;
  readonly waiting: Set<number>;
  readonly lost: string[];
  stop(): void;
}

async function finish(): Promise<void> {
  for (const asking of askings.values()) asking.stop();
  const deadline = performance.now() + patienceMs;
  const isWaiting = () => [...askings.values()].some(({ waiting }) => waiting.size > 0);
  while (isWaiting() && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const report: SteadyReport = Object.fromEntries(
    [...askings].map(([name, { asked, waiting, lost }]) => [
      name,
      { asked, lost: [...lost, ...Array.from(waiting, (number) => `${number} unanswered`)] },
    ]),
  );
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
}

function start(stream: Stream): Asking {
  const question = Buffer.from(stream.question, "hex");
  const asking: Asking = {
    asked: 0,
    waiting: new Set(),
    lost: [],
    stop: () => clearInterval(timer),
  };
  const answered = (number: number) => {
    asking.waiting.delete(number);
    if (unheard.delete(stream.name) && unheard.size === 0) process.stdout.write("ready\n");
  };
  const ask = { "kept tcp": keptTcp, "new tcp": newTcp, "kept udp": keptUdp, "new udp": newUdp }[
    `${stream.kind} ${stream.protocol}` as const
  ](stream, question, asking, answered);
  const timer = setInterval(() => {
    if (asking.waiting.size === mostWaiting) return;
    const number = asking.asked++;
    asking.waiting.add(number);
    ask(number);
  }, stream.everyMs);
  return asking;
}

type Start = (
  stream: Stream,
  question: Buffer,
  asking: Asking,
  answered: (number: number) => void,
) => (number: number) => void;

/** One connection; answers come in the order of questions, `question.length` bytes each. */
const keptTcp: Start = ({ address, port }, question, asking, answered) => {
  const socket = connect(port, address);
  let received = 0;
  let next = 0;
  socket.on("data", (chunk) => {
    received += chunk.length;
    for (; received >= question.length; received -= question.length) answered(next++);
  });
  socket.on("error", (error) => asking.lost.push(`cut off: ${error.message}`));
  socket.on("end", () => asking.lost.push("cut off"));
  return () => socket.write(question);
};

const newTcp: Start = ({ address, port }, question, asking, answered) => {
  return (number) => {
    const socket: Socket = connect(port, address);
    const failed = (what: string) => {
      if (asking.waiting.delete(number)) asking.lost.push(`${number} ${what}`);
      socket.destroy();
    };
    socket.on("error", (error) => failed(error.message));
    socket.on("end", () => failed("closed"));
    socket.once("data", () => {
      answered(number);
      socket.destroy();
    });
    socket.write(question);
  };
};

/** Which question an answer is for cannot be told: any will do, for none is asked twice. */
const keptUdp: Start = ({ address, port }, question, asking, answered) => {
  const socket = createSocket("udp4");
  socket.on("error", (error) => asking.lost.push(error.message));
  socket.on("message", () => {
    const [oldest] = asking.waiting;
    if (oldest !== undefined) answered(oldest);
  });
  return () => socket.send(question, port, address);
};

const newUdp: Start = ({ address, port }, question, asking, answered) => {
  return (number) => {
    const socket = createSocket("udp4");
    socket.on("error", (error) => asking.lost.push(`${number} ${error.message}`));
    socket.on("message", () => {
      answered(number);
      socket.close();
    });
    socket.send(question, port, address);
  };
};

const streams = JSON.parse(process.argv[2] ?? "[]") as readonly Stream[];
const askings = new Map(streams.map((stream) => [stream.name, start(stream)]));
const unheard = new Set(askings.keys());

process.stdin.on("end", () => void finish()).resume();
