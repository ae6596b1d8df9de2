/**
 * Compresses answers for clients that ask for it (RFC 9110 §8.4, §12.5.3), where a route wants that.
 *
 * Left alone are answers with a part of a body, those that are encoded already, small ones, types that do not
 * shrink, and what says `no-transform`. An answer that might have been compressed says so (`Vary`), or a cache would
 * hand one client what another asked for; a compressed one has a weak ETag, since its bytes are not those that the tag
 * was for, and loses the digests of its bytes. Answers to HEAD, and 304, say what the answer to GET would.
 *
 * A compressor takes memory, so only so many run at a time (compressor-pool.ts); beyond that, answers go as they are.
 */

import { constants, createBrotliCompress, createGzip } from "node:zlib";
import type { Compression } from "../../model/proxy-config.ts";
import { anyFieldIs, findField } from "../codec/heads.ts";
import type { Environment } from "../environment.ts";
import type { Exchange } from "../stack/exchange.ts";
import type { Filter } from "../stack/handler.ts";
import type { Head } from "../stack/head.ts";
import { Recoding } from "../stack/recoding.ts";

type Algorithm = Compression["algorithms"][number];

type MadeCompressor = ConstructorParameters<typeof Recoding>[1];

const makers: Readonly<Record<Algorithm, () => MadeCompressor>> = {
  gzip: () => ({
    compressor: createGzip({ level: 4 }), // three times as fast as 9, and 5 % larger
    flushKind: constants.Z_SYNC_FLUSH,
  }),
  br: () => ({
    compressor: createBrotliCompress({
      params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_LGWIN]: 18 },
    }),
    flushKind: constants.BROTLI_OPERATION_FLUSH,
  }),
};

/** Names of fields that are about the very bytes that the endpoint sent. */
const aboutBytes = [
  "content-length",
  "accept-ranges",
  "content-md5",
  "digest",
  "content-digest",
  "repr-digest",
];

export function compress(policy: Compression, { compressors }: Environment): Filter {
  const types = new Set(policy.contentTypes);
  return (next) => (exchange) => {
    // The request's fields are in place now, and may not be when the answer comes.
    const wanted = preferred(exchange.field("accept-encoding"), policy.algorithms);
    const known = exchange.field("if-none-match");
    exchange.recode = (head, text, isEmpty) => recode(exchange, head, text, isEmpty);
    next(exchange);

    function recode(
      of: Exchange,
      head: Head,
      text: string,
      isEmpty: boolean,
    ): Recoding | undefined {
      if (head.status === 304) {
        if (!mayBeTransformed(head, text, types)) return undefined;
        // Whoever asks with a weak tag has a compressed answer, whatever he likes now.
        const etag = weakTag(head, text);
        const isWeak = wanted !== undefined || (etag !== undefined && known?.includes(etag));
        const weak = etag !== undefined && isWeak ? etag : undefined;
        of.addResponseLines(
          varyLine(head, text) + tagLine(weak),
          weak === undefined ? [] : ["etag"],
        );
        return undefined;
      }
      const isHead = of.method === "HEAD";
      if (isEmpty && !isHead) return undefined;
      if (!isEligible(head, text, policy.minBytes, types)) return undefined;
      const vary = varyLine(head, text);
      if (wanted === undefined || !(isHead || compressors.take())) {
        of.addResponseLines(vary);
        return undefined;
      }
      const weak = weakTag(head, text);
      const dropped = weak === undefined ? aboutBytes : [...aboutBytes, "etag"];
      of.addResponseLines(`content-encoding: ${wanted}\r\n${vary}${tagLine(weak)}`, dropped);
      if (isHead) return undefined;
      of.atEnd(() => compressors.giveBack());
      return new Recoding(of, makers[wanted](), head.isChunked);
    }
  };
}

function varyLine(head: Head, text: string): string {
  const varies = anyFieldIs(head, text, "vary", (value) =>
    /(^|,)\s*(\*|accept-encoding)\s*(,|$)/i.test(value),
  );
  return varies ? "" : "vary: Accept-Encoding\r\n";
}

/**
 * What becomes of the tag of bytes that are not the ones that go out; undefined: it is weak already, or there is none.
 */
function weakTag(head: Head, text: string): string | undefined {
  const etag = findField(head, text, "etag");
  return etag?.startsWith('"') === true ? `W/${etag}` : undefined;
}

function tagLine(tag: string | undefined): string {
  return tag === undefined ? "" : `etag: ${tag}\r\n`;
}

function isEligible(
  head: Head,
  text: string,
  minBytes: number,
  types: ReadonlySet<string>,
): boolean {
  const { status, contentLength } = head;
  if (status < 200 || status > 299 || status === 204 || status === 206) return false;
  if (contentLength >= 0 && contentLength < Math.max(1, minBytes)) return false;
  return findField(head, text, "content-type") !== undefined && mayBeTransformed(head, text, types);
}

/** By what its fields say; a 304 need not say its type. */
function mayBeTransformed(head: Head, text: string, types: ReadonlySet<string>): boolean {
  const encoding = findField(head, text, "content-encoding") ?? "identity";
  if (encoding.trim().toLowerCase() !== "identity") return false;
  const written = findField(head, text, "content-type");
  const [type = ""] = (written ?? "").split(";");
  if (written !== undefined && !types.has(type.trim().toLowerCase())) return false;
  return !anyFieldIs(head, text, "cache-control", (value) => /\bno-transform\b/i.test(value));
}

/**
 * The first of ours among those that the client likes best; undefined: it wants none, or likes the plain form better.
 */
export function preferred(
  accepts: string | undefined,
  algorithms: readonly Algorithm[],
): Algorithm | undefined {
  if (accepts === undefined) return undefined;
  const weights = new Map<string, number>();
  for (const part of accepts.split(",")) {
    const [name = "", ...parameters] = part.split(";");
    const q = /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i.exec(parameters.join(";"))?.[1];
    weights.set(name.trim().toLowerCase(), parameters.length === 0 ? 1 : Number(q ?? 0));
  }
  const weightOf = (name: string): number => weights.get(name) ?? weights.get("*") ?? 0;
  let best: Algorithm | undefined;
  let most = weights.get("identity") ?? 0;
  for (const algorithm of algorithms) {
    const weight = weightOf(algorithm);
    if (weight > 0 && (best === undefined ? weight >= most : weight > most)) {
      best = algorithm;
      most = weight;
    }
  }
  return best;
}
