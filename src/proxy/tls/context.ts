/**
 * A certificate and the trusted roots, as connections of the mesh use them: TLS 1.3 and nothing older.
 *
 * OpenSSL counts who uses a context, so that a connection keeps the one that it began with; ours is given back when the
 * configuration that made it is collected.
 */

import { MeshError } from "../../base/error.ts";
import type { Pointer } from "./calls/library.ts";
import { type OpenSsl, openSsl } from "./openssl.ts";
import { suiteNames } from "./traffic-keys.ts";

export interface TlsContextOptions {
  /** Own certificate and those that lead from it to a root, and its key, in PEM; undefined: none is shown. */
  readonly own: { readonly chain: string; readonly key: string } | undefined;
  /** In PEM; undefined: nobody is trusted. */
  readonly roots: string | undefined;
  /** Tickets of one name are of no use under another; OpenSSL resumes nothing that shows a certificate without one. */
  readonly sessionName: string;
  readonly sessionSeconds: number;
}

/** Nothing sane needs more; a file of certificates without end must not be read without one. */
const maxCertificates = 1_000;

const dropped = new FinalizationRegistry<Pointer>((context) => openSsl().freeContext(context));

export class TlsContext {
  /** For `connection.ts` alone. */
  readonly pointer: Pointer;

  /** Throws MeshError `proxy.tls.context`, which says what could not be read. */
  constructor(options: TlsContextOptions) {
    const calls = openSsl();
    this.pointer = calls.newContext();
    try {
      setAll(calls, this.pointer, options);
    } catch (error) {
      calls.freeContext(this.pointer);
      throw error;
    }
    dropped.register(this, this.pointer);
  }
}

function setAll(calls: OpenSsl, context: Pointer, options: TlsContextOptions): void {
  const { own, roots, sessionName, sessionSeconds } = options;
  if (!calls.setTls13(context, suiteNames)) throw refused(calls, "suites: must be known");
  calls.setModes(context);
  if (!calls.setSessions(context, sessionName, sessionSeconds)) {
    throw refused(calls, `sessionName: must be at most 32 bytes, got ${sessionName}`);
  }
  calls.setCallbacks(context);
  if (own !== undefined) setCertificate(calls, context, own);
  if (roots !== undefined) setRoots(calls, context, roots);
}

function setCertificate(
  calls: OpenSsl,
  context: Pointer,
  { chain, key }: NonNullable<TlsContextOptions["own"]>,
): void {
  withCertificates(calls, "chain", chain, ([own, ...rest]) => {
    if (!calls.setCertificate(context, own)) throw refused(calls, "chain[0]: cannot be used");
    for (const [i, one] of rest.entries()) {
      if (!calls.addToChain(context, one)) throw refused(calls, `chain[${i + 1}]: cannot be used`);
    }
  });
  const pointer = reading(calls, key, (pem) => calls.readKey(pem));
  if (pointer === 0) throw refused(calls, "key: must be a private key in PEM");
  const isUsed = calls.setKey(context, pointer);
  calls.freeKey(pointer);
  if (!isUsed) throw refused(calls, "key: must be that of chain[0]");
}

function setRoots(calls: OpenSsl, context: Pointer, pem: string): void {
  withCertificates(calls, "roots", pem, (roots) => {
    for (const [i, root] of roots.entries()) {
      if (!calls.trust(context, root)) throw refused(calls, `roots[${i}]: cannot be trusted`);
    }
  });
}

/** Calls `use` with all certificates of a file, in its order; they are freed when it returns. */
function withCertificates(
  calls: OpenSsl,
  path: string,
  text: string,
  use: (certificates: readonly [Pointer, ...Pointer[]]) => void,
): void {
  const all: Pointer[] = [];
  try {
    reading(calls, text, (pem) => readAll(calls, path, pem, all));
    const [first, ...rest] = all;
    if (first === undefined) {
      throw refused(calls, `${path}: must be certificates in PEM, got none`);
    }
    use([first, ...rest]);
  } finally {
    for (const one of all) calls.freeCertificate(one);
  }
}

/** Adds to `all` as it goes. What cannot be read is no end: what stands behind it would be missing without a word. */
function readAll(calls: OpenSsl, path: string, pem: Pointer, all: Pointer[]): void {
  for (;;) {
    calls.clearErrors();
    const one = calls.readCertificate(pem);
    if (one === 0 && calls.isEndOfPem()) break;
    if (one === 0) throw refused(calls, `${path}[${all.length}]: must be a certificate in PEM`);
    all.push(one);
    if (all.length > maxCertificates) {
      throw refused(calls, `${path}: must be at most ${maxCertificates} certificates, got more`);
    }
  }
  calls.clearErrors();
}

function reading<T>(calls: OpenSsl, text: string, read: (pem: Pointer) => T): T {
  const { bio } = calls;
  const bytes = Buffer.from(text, "latin1");
  const pem = bio.newMemory();
  try {
    bio.put(pem, bytes, 0, bytes.length);
    return read(pem);
  } finally {
    bio.free(pem);
    bytes.fill(0); // it may be a key
  }
}

/** `problem`: path and what is wanted; what was found is OpenSSL's to say. */
function refused(calls: OpenSsl, problem: string): MeshError {
  const reason = calls.errorReason();
  calls.clearErrors();
  return new MeshError("proxy.tls.context", reason === "" ? problem : `${problem}, got ${reason}`);
}
