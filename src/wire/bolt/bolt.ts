/**
 * A Bolt file as buckets, keys and values, read only.
 *
 * The file is pages: two of them (0 and 1) say in turn which transaction is the newest and where its root is; the rest
 * are branches and leaves of B+trees. A leaf's value is bytes or a bucket, which is a tree of its own, or, where small,
 * a page inside the value. All numbers are little-endian.
 *
 * A writer never changes a page that the newest snapshot reaches; such a page may be used again by the second
 * transaction after it. So a reader without a lock has read one consistent picture if at the end `isCurrent` holds.
 */

import { decodeUtf8, encodeUtf8 } from "../../base/utf8.ts";

const magic = 0xed0cdaed;
const version = 2;
const pageHeaderBytes = 16;
const elementBytes = 16;
const branchFlag = 0x01;
const leafFlag = 0x02;
const bucketFlag = 0x01;
const metaBytes = 64;
const metaChecksumOffset = 56;
/** Trees of a file that two programs fill with containers are three levels deep. */
const deepest = 32;
const largestPageBytes = 64 * 1024 * 1024;

/** Reads exactly `length` bytes at `offset` of the file; throws where there are fewer. */
export type ReadAt = (offset: number, length: number) => Uint8Array;

export interface Bolt {
  readonly root: BoltBucket;
  /** Whether everything that was read belongs to one picture. */
  isCurrent(): boolean;
}

/** Throws SyntaxError for a file that is none. */
export function openBolt(read: ReadAt): Bolt {
  const meta = newestMeta(read);
  const pages = new Pages(read, meta.pageBytes);
  return {
    root: new BoltBucket(pages, pages.at(meta.root)),
    isCurrent: () => newestMeta(read).transaction <= meta.transaction + 1n,
  };
}

export class BoltBucket {
  readonly #pages: Pages;
  readonly #page: Uint8Array;

  constructor(pages: Pages, page: Uint8Array) {
    this.#pages = pages;
    this.#page = page;
  }

  /** Undefined where there is no such key, or it is a bucket's. */
  get(key: string): Uint8Array | undefined {
    const leaf = this.#find(key);
    return leaf === undefined || leaf.isBucket ? undefined : leaf.value;
  }

  /** Undefined where there is no bucket of the name. */
  bucket(key: string): BoltBucket | undefined {
    const leaf = this.#find(key);
    if (leaf === undefined || !leaf.isBucket) return undefined;
    if (leaf.value.length < pageHeaderBytes)
      throw malformed(`bucket of ${leaf.value.length} bytes`);
    const root = Number(viewOf(leaf.value).getBigUint64(0, true));
    const page = root === 0 ? leaf.value.subarray(pageHeaderBytes) : this.#pages.at(root);
    return new BoltBucket(this.#pages, page);
  }

  keys(): readonly string[] {
    return [...leavesBelow(this.#pages, this.#page, new Set())].map(({ key }) => decodeUtf8(key));
  }

  #find(key: string): Leaf | undefined {
    const wanted = encodeUtf8(key);
    let page = this.#page;
    for (let depth = 0; depth < deepest; depth++) {
      const { isLeaf, count } = headerOf(page);
      if (isLeaf) return leavesOf(page).find((leaf) => compare(leaf.key, wanted) === 0);
      // The last child whose first key is not beyond the wanted one; the first child holds all that is less.
      let child = 0;
      for (let i = 1; i < count; i++) if (compare(branchOf(page, i).key, wanted) <= 0) child = i;
      page = this.#pages.at(branchOf(page, child).page);
    }
    throw malformed("tree without an end");
  }
}

interface Leaf {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly isBucket: boolean;
}

/** Reads whole pages, with the overflow that a large value needs. */
class Pages {
  readonly #read: ReadAt;
  readonly #pageBytes: number;

  constructor(read: ReadAt, pageBytes: number) {
    this.#read = read;
    this.#pageBytes = pageBytes;
  }

  at(id: number): Uint8Array {
    const offset = id * this.#pageBytes;
    const overflow = viewOf(this.#read(offset, pageHeaderBytes)).getUint32(12, true);
    const length = (overflow + 1) * this.#pageBytes;
    if (length > largestPageBytes) throw malformed(`page of ${length} bytes`);
    return this.#read(offset, length);
  }
}

function* leavesBelow(pages: Pages, page: Uint8Array, seen: Set<number>): Generator<Leaf> {
  const { isLeaf, count } = headerOf(page);
  if (isLeaf) {
    yield* leavesOf(page);
    return;
  }
  for (let i = 0; i < count; i++) {
    const child = branchOf(page, i).page;
    if (seen.has(child)) throw malformed(`page ${child} is in a tree twice`);
    seen.add(child);
    yield* leavesBelow(pages, pages.at(child), seen);
  }
}

function headerOf(page: Uint8Array): { readonly isLeaf: boolean; readonly count: number } {
  if (page.length < pageHeaderBytes) throw malformed(`page of ${page.length} bytes`);
  const view = viewOf(page);
  const flags = view.getUint16(8, true);
  const count = view.getUint16(10, true);
  if (flags !== leafFlag && (flags !== branchFlag || count === 0)) {
    throw malformed(`page with flags ${flags} and ${count} entries`);
  }
  return { isLeaf: flags === leafFlag, count };
}

function leavesOf(page: Uint8Array): readonly Leaf[] {
  const view = viewOf(page);
  return Array.from({ length: headerOf(page).count }, (_, i) => {
    const at = pageHeaderBytes + i * elementBytes;
    if (at + elementBytes > page.length) throw malformed("entries beyond the page's end");
    const key = at + view.getUint32(at + 4, true);
    const value = key + view.getUint32(at + 8, true);
    const end = value + view.getUint32(at + 12, true);
    if (end > page.length) throw malformed("value beyond the page's end");
    return {
      isBucket: (view.getUint32(at, true) & bucketFlag) !== 0,
      key: page.subarray(key, value),
      value: page.subarray(value, end),
    };
  });
}

function branchOf(
  page: Uint8Array,
  i: number,
): { readonly key: Uint8Array; readonly page: number } {
  const view = viewOf(page);
  const at = pageHeaderBytes + i * elementBytes;
  if (at + elementBytes > page.length) throw malformed("entries beyond the page's end");
  const key = at + view.getUint32(at, true);
  const end = key + view.getUint32(at + 4, true);
  if (end > page.length) throw malformed("key beyond the page's end");
  return { key: page.subarray(key, end), page: Number(view.getBigUint64(at + 8, true)) };
}

interface Meta {
  readonly pageBytes: number;
  readonly root: number;
  readonly transaction: bigint;
}

/** Of the two, the newer one that is whole: a writer that is cut off spoils only the other. */
function newestMeta(read: ReadAt): Meta {
  const first = metaAt(read, 0);
  // The second's place depends on the page size; where the first is spoilt, the usual size is tried.
  const second = metaAt(read, first?.pageBytes ?? 4096);
  const metas = [first, second].filter((meta) => meta !== undefined);
  const newest = metas.sort((a, b) => (a.transaction < b.transaction ? 1 : -1))[0];
  if (newest === undefined) throw malformed("no page says where the root is");
  return newest;
}

function metaAt(read: ReadAt, offset: number): Meta | undefined {
  const bytes = read(offset + pageHeaderBytes, metaBytes);
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== magic || view.getUint32(4, true) !== version) return undefined;
  if (
    view.getBigUint64(metaChecksumOffset, true) !== fnv64(bytes.subarray(0, metaChecksumOffset))
  ) {
    return undefined;
  }
  return {
    pageBytes: view.getUint32(8, true),
    root: Number(view.getBigUint64(16, true)),
    transaction: view.getBigUint64(48, true),
  };
}

/** FNV-1a. */
function fnv64(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function malformed(what: string): SyntaxError {
  return new SyntaxError(`cannot read Bolt file: ${what}`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
