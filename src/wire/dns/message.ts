/**
 * DNS messages as values (RFC 1035, SRV of RFC 2782, EDNS of RFC 6891).
 *
 * Record types that the cluster's names need have their own variant; all others keep their data as bytes, which is
 * only safe to encode again because types that compress names inside their data (RFC 3597 §4) are named here.
 *
 * Not here: bytes (decode.ts, encode.ts) and answers (the agent's name server).
 */

/** Record types, RFC 1035 §3.2.2 and later. */
export const recordTypes = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  ANY: 255,
} as const;

export const classInternet = 1;

/** RCODE. */
export const responseCodes = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const;

export interface DnsMessage {
  readonly id: number;
  readonly isResponse: boolean;
  /** 0: a standard query. */
  readonly opcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  readonly responseCode: number;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

/** Asks `question`, and for whatever recursion it takes. */
export function standardQuery(
  id: number,
  question: DnsQuestion,
  additionals: readonly DnsRecord[] = [],
): DnsMessage {
  return {
    id,
    isResponse: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    responseCode: responseCodes.noError,
    questions: [question],
    answers: [],
    authorities: [],
    additionals,
  };
}

/** What a sender says of itself beside its message (RFC 6891): how much it takes over UDP, and options. */
export function optRecord(maxUdpBytes: number, options: Uint8Array = new Uint8Array()): DnsRecord {
  return {
    kind: "other",
    type: recordTypes.OPT,
    name: "",
    class: maxUdpBytes,
    ttl: 0,
    bytes: options,
  };
}

/**
 * An option of Heddle's own, from the range for local use: the asker is a proxy that wants to know where a name really
 * leads, not the address that stands for it in the mesh. It has no data.
 */
export const realAddressOption: Uint8Array = Uint8Array.of(0xfd, 0xe9, 0, 0);

/** Whether the query has that option, among whatever others. */
export function asksForRealAddress({ additionals }: DnsMessage): boolean {
  const [wantedHigh, wantedLow] = realAddressOption;
  return additionals.some((record) => {
    if (record.kind !== "other" || record.type !== recordTypes.OPT) return false;
    const { bytes } = record;
    for (let at = 0; at + 4 <= bytes.length; ) {
      if (bytes[at] === wantedHigh && bytes[at + 1] === wantedLow) return true;
      at += 4 + ((bytes[at + 2] ?? 0) << 8) + (bytes[at + 3] ?? 0);
    }
    return false;
  });
}

export interface DnsQuestion {
  /** Presentation text without a final dot. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

interface Common {
  readonly name: string;
  readonly class: number;
  /** Seconds. */
  readonly ttl: number;
}

export type DnsRecord =
  | (Common & { readonly kind: "A" | "AAAA"; readonly address: string })
  | (Common & { readonly kind: "NS" | "CNAME" | "PTR"; readonly target: string })
  | (Common & {
      readonly kind: "SRV";
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    })
  | (Common & {
      readonly kind: "SOA";
      readonly primary: string;
      readonly mailbox: string;
      readonly serial: number;
      readonly refresh: number;
      readonly retry: number;
      readonly expire: number;
      readonly minimum: number;
    })
  | (Common & { readonly kind: "MX"; readonly preference: number; readonly target: string })
  /** For OPT, `class` is the sender's UDP payload size and `ttl` its extended flags. */
  | (Common & { readonly kind: "other"; readonly type: number; readonly bytes: Uint8Array });
