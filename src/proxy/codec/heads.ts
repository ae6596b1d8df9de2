/**
 * Heads on their way through the proxy: which fields it watches, and the text that goes out.
 *
 * A head leaves as the text it came in, cut where something must go (hop-by-hop fields, edited ones) and with lines put
 * at its end; for most requests that is one slice. White space that servers read differently is not passed on. Bytes
 * are latin1 on both sides, so whatever a field held goes through unchanged.
 *
 * Not here: what to add for whom (filter/router.ts), and what a configuration wants edited (config/header-edits.ts).
 */

import { healthCheckField } from "../../model/names.ts";
import { FieldNames, firstOwnMark, mark } from "../../wire/http1/field-names.ts";
import { HeadParser } from "../../wire/http1/head.ts";
import type { Peer } from "../peer.ts";
import { readIntroduction } from "../peer-introduction.ts";
import type { Head } from "../stack/head.ts";

/** The fields that the sidecar itself reads or replaces, beyond those that framing needs. */
export const watched: readonly string[] = [
  "date", // the only one of answers, so that its mark is the same there
  "x-request-id",
  "x-forwarded-proto",
  "x-forwarded-client-cert",
  "x-heddle-peer",
  "content-type",
  "grpc-timeout",
  healthCheckField,
  "x-forwarded-for",
  // Instructions and notes of proxies, which a client cannot give: Envoy's.
  "x-envoy-attempt-count",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-internal",
  "x-envoy-ip-tags",
  "x-envoy-max-retries",
  "x-envoy-retriable-status-codes",
  "x-envoy-retry-grpc-on",
  "x-envoy-retry-on",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-upstream-rq-timeout-ms",
];

/** What sidecars tell each other, and does not go on from a client outside of the mesh. */
export const proxyWords: ReadonlySet<string> = new Set([
  "x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node",
  "x-envoy-external-address",
  "x-envoy-original-host",
  "x-envoy-original-path",
  "x-envoy-peer-metadata",
  "x-envoy-peer-metadata-id",
]);

export const dateMark: number = firstOwnMark;
export const ownMark: {
  readonly requestId: number;
  readonly forwardedProto: number;
  readonly clientCertificate: number;
  readonly peer: number;
  readonly contentType: number;
  readonly grpcTimeout: number;
  readonly healthCheck: number;
} = {
  requestId: firstOwnMark + 1,
  forwardedProto: firstOwnMark + 2,
  clientCertificate: firstOwnMark + 3,
  peer: firstOwnMark + 4,
  contentType: firstOwnMark + 5,
  grpcTimeout: firstOwnMark + 6,
  healthCheck: firstOwnMark + 7,
};

const proxyNotes = watched.flatMap((name, index) =>
  name.startsWith("x-envoy-") ? [firstOwnMark + index] : [],
);

const requestNames = new FieldNames(watched);
const responseNames = new FieldNames(["date"]);

export function requestParser(): HeadParser {
  return new HeadParser("request", requestNames);
}

export function responseParser(): HeadParser {
  return new HeadParser("response", responseNames);
}

/** Which marked fields do not go on. Indexed by mark. */
export type DropTable = Uint8Array;

function dropTable(marks: readonly number[]): DropTable {
  const table = new Uint8Array(requestNames.count);
  for (const dropped of marks) table[dropped] = 1;
  return table;
}

// RFC 9110 §7.6.1. Transfer-Encoding is written anew; the chunks go on as they came.
const hopByHop = [
  mark.connection,
  mark.keepAlive,
  mark.proxyConnection,
  mark.te,
  mark.transferEncoding,
  mark.nominated,
];
export const chunkedLine = "transfer-encoding: chunked\r\n";

export const requestDrops: DropTable = dropTable([
  ...hopByHop,
  mark.disguised,
  mark.upgrade,
  ownMark.peer,
  ownMark.healthCheck,
  ownMark.clientCertificate,
  ...proxyNotes,
]);
/** The request asks for another protocol, and may. Connection is written anew, with nothing but the upgrade in it. */
export const upgradeRequestDrops: DropTable = dropTable([
  ...hopByHop,
  mark.disguised,
  ownMark.peer,
  ownMark.healthCheck,
  ownMark.clientCertificate,
  ...proxyNotes,
]);
export const responseDrops: DropTable = dropTable([...hopByHop, mark.upgrade]);
/** 1xx and 204 have no body and must not claim one (RFC 9110 §8.6, RFC 9112 §6.1). */
export const bodilessResponseDrops: DropTable = dropTable([
  ...hopByHop,
  mark.upgrade,
  mark.contentLength,
]);
export const nominatedOnly: DropTable = dropTable([mark.nominated]);
export const upgradeResponseDrops: DropTable = dropTable([...hopByHop, mark.contentLength]);

/** Names (lower case) that are taken out besides the marked ones. */
export type DroppedNames = ReadonlySet<string>;

/**
 * The head's field lines (without the last empty line) that go on. `text` is the whole head. With the start line before
 * them where `from` is its start, so that a head of which nothing goes is one piece of its text.
 */
export function keptFields(
  head: Head,
  text: string,
  drops: DropTable,
  names?: DroppedNames,
  from: number = head.startLineEnd + 2,
): string {
  const { slots, marks, count } = head;
  if (head.isLoose) {
    let kept = text.slice(from, head.startLineEnd + 2);
    for (let i = 0; i < count; i++) {
      const name = text.slice(slots[i * 4], slots[i * 4 + 1]);
      const isDropped = drops[marks[i] ?? 0] === 1 || names?.has(name.toLowerCase()) === true;
      if (!isDropped) kept += `${name}: ${fieldValue(head, text, i)}\r\n`;
    }
    return kept;
  }
  let kept = "";
  let run = from;
  for (let i = 0; i < count; i++) {
    const known = marks[i] ?? 0;
    let isDropped = known !== 0 && drops[known] === 1;
    const start = slots[i * 4] ?? 0;
    if (!isDropped && names !== undefined) {
      isDropped = names.has(text.slice(start, slots[i * 4 + 1]).toLowerCase());
    }
    if (!isDropped) continue;
    kept += text.slice(run, start);
    run = i + 1 < count ? (slots[(i + 1) * 4] ?? 0) : head.headEnd - 2;
  }
  return kept + text.slice(run, head.headEnd - 2);
}

/** The lines of an interim answer that go on. */
export function interimFields(head: Head, text: string): string {
  return keptFields(head, text, bodilessResponseDrops);
}

export function fieldValue(head: Head, text: string, index: number): string {
  return text.slice(head.slots[index * 4 + 2], head.slots[index * 4 + 3]);
}

/**
 * The value of the field `name` (lower case), several joined by commas (RFC 9110 §5.3); undefined when absent. Fields
 * of `unseen` marks count as absent.
 */
export function findField(
  head: Head,
  text: string,
  name: string,
  unseen: DropTable = nominatedOnly,
): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < head.count; i++) {
    const start = head.slots[i * 4] ?? 0;
    const end = head.slots[i * 4 + 1] ?? 0;
    if (end - start !== name.length) continue;
    if (text.slice(start, end).toLowerCase() !== name) continue;
    if (unseen[head.marks[i] ?? 0] === 1) continue;
    const value = fieldValue(head, text, i);
    found = found === undefined ? value : `${found},${value}`;
  }
  return found;
}

/** Whether `takes` takes the value of one of the fields of the name (lower case). */
export function anyFieldIs(
  head: Head,
  text: string,
  name: string,
  takes: (value: string) => boolean,
  unseen: DropTable = nominatedOnly,
): boolean {
  for (let i = 0; i < head.count; i++) {
    const start = head.slots[i * 4] ?? 0;
    const end = head.slots[i * 4 + 1] ?? 0;
    if (end - start !== name.length) continue;
    if (text.slice(start, end).toLowerCase() !== name) continue;
    if (unseen[head.marks[i] ?? 0] !== 1 && takes(fieldValue(head, text, i))) return true;
  }
  return false;
}

/** Takes in what the peer's sidecar says of its workload, once, and only beside a verified certificate. */
export function introducePeer(peer: Peer, value: string): void {
  if (peer.principal === undefined || peer.labels !== undefined) return;
  peer.labels = readIntroduction(value, peer.principal);
  peer.series.clear();
}
