/**
 * What sidecars and gateways are not doing as it is written: the notes (`HEDDLE01…`) that compiling their configurations
 * left, each once, with whom it concerns.
 */

import { type Resource, titleOf } from "../api/resource.ts";
import type { Diagnostic } from "../base/compiled.ts";
import { MeshError } from "../base/error.ts";
import { isRecord } from "../base/json.ts";
import { apiError } from "../rpc/api-error.ts";
import type { HttpTransport } from "../rpc/http-transport.ts";

export interface MeshNote extends Diagnostic {
  /** The pods that have it, `namespace/name`. */
  readonly pods: readonly string[];
}

export interface MeshNotes {
  readonly notes: readonly MeshNote[];
  /** How many sidecars and gateways were asked. */
  readonly proxies: number;
}

/** Those of all that are connected to the server now, in order of code and place. */
export async function meshNotes(transport: HttpTransport): Promise<MeshNotes> {
  const answer = await transport.send({ method: "GET", path: "/heddle/v1/proxies" });
  if (answer.code !== 200) throw apiError(answer);
  const clients = isRecord(answer.body) ? answer.body["clients"] : undefined;
  if (!Array.isArray(clients)) {
    const message = "ask for notes: the server answered something else; is it of another version?";
    throw new MeshError("cli.answer", message, { fault: "peer" });
  }
  // The server made them from the same types.
  const proxies = (clients as readonly Noted[]).filter(({ kind }) => kind === "sidecar");
  const seen = proxies.flatMap(({ id, notes = [] }) =>
    notes.map((note) => ({ note, pod: podOf(id) })),
  );
  const alike = Map.groupBy(seen, ({ note }) => `${note.code} ${note.where} ${note.message}`);
  const notes = [...alike]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, [first, ...rest]]) =>
      first === undefined
        ? []
        : [{ ...first.note, pods: [first, ...rest].map(({ pod }) => pod).toSorted() }],
    );
  return { notes, proxies: proxies.length };
}

/** Those that are about one of the objects or name it. */
export function notesAbout(
  { notes }: MeshNotes,
  objects: readonly Resource[],
): readonly MeshNote[] {
  const titles = new Set(objects.map(titleOf));
  return notes.filter(({ where, message }) => {
    const words = `${where} ${message}`.split(/[ ,:;]+/);
    return words.some((word, index) => titles.has(`${word} ${words[index + 1]}`));
  });
}

/** `HEDDLE0118 VirtualService shop/cart spec.http[0].delegate: there is no …`. */
export function renderNote({ code, where, message }: Diagnostic): string {
  return `${code} ${where}: ${message}`;
}

export function renderMeshCheck({ notes, proxies }: MeshNotes): string {
  const found = notes.map((note) => `✗ ${renderNote(note)}\n    ${holders(note.pods)}`);
  const who = `${proxies} sidecars and gateways`;
  const end =
    notes.length === 0
      ? `✓ ${who} do what is written`
      : `${notes.length} found: the rest of what is written stands, in ${who}`;
  return [...found, end].join("\n");
}

interface Noted {
  readonly id: string;
  readonly kind: string;
  readonly notes?: readonly Diagnostic[];
}

/** Of `sidecar~10.244.0.5~web-1.shop~shop.svc.cluster.local`: `shop/web-1`. */
function podOf(id: string): string {
  const [, , name = id] = id.split("~");
  const end = name.lastIndexOf(".");
  return end < 0 ? name : `${name.slice(end + 1)}/${name.slice(0, end)}`;
}

const mostNamed = 3;

function holders(pods: readonly string[]): string {
  const more = pods.length - mostNamed;
  const named = pods.slice(0, mostNamed).join(", ");
  return more > 0 ? `in ${named} and ${more} more` : `in ${named}`;
}
