/**
 * A certificate and the trusted roots, as connections of the mesh use them: TLS 1.3 and nothing older.
 *
 * OpenSSL counts who uses a context, so that a connection keeps the one that it began with; ours is given back when the
 * configuration that made it is collected.
 */

import { MeshError } from "../../base/error.ts";
import { type OpenSsl, openSsl, type Pointer } from "./openssl.ts";

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

let protocolsOfPresentHandshake: Buffer | undefined;

export class TlsContext {
  /** For `connection.ts` alone. */
  readonly pointer: Pointer;

  /** Throws MeshError `proxy.tls.context`, which says what could not be read. */
  constructor(options: TlsContextOptions) {
    const calls = openSsl();
    this.pointer = calls.newContext();
    dropped.register(this, this.pointer);
    calls.setTls13(this.pointer);
    calls.setModes(this.pointer);
    calls.setSessions(this.pointer, options.sessionName, options.sessionSeconds);
    calls.selectProtocols(this.pointer, () => protocolsOfPresentHandshake);
    if (options.own !== undefined) setCertificate(calls, this.pointer, options.own);
    if (options.roots !== undefined) setRoots(calls, this.pointer, options.roots);
  }
}

/** Runs one step of a server's handshake, in which OpenSSL may ask which protocols are spoken. */
export function speaking<T>(protocols: Buffer | undefined, step: () => T): T {
  protocolsOfPresentHandshake = protocols;
  try {
    return step();
  } finally {
    protocolsOfPresentHandshake = undefined;
  }
}

function setCertificate(
  calls: OpenSsl,
  context: Pointer,
  { chain, key }: NonNullable<TlsContextOptions["own"]>,
): void {
  const [own, ...rest] = readCertificates(calls, chain);
  if (own === undefined || !calls.setCertificate(context, own)) {
    throw refused(calls, "read the certificate");
  }
  calls.freeCertificate(own);
  for (const one of rest) {
    if (!calls.addToChain(context, one)) throw refused(calls, "read the certificate's chain");
  }
  const pointer = reading(calls, key, (pem) => calls.readKey(pem));
  if (pointer === 0) throw refused(calls, "read the key");
  const isUsed = calls.setKey(context, pointer);
  calls.freeKey(pointer);
  if (!isUsed) throw refused(calls, "use the key with the certificate");
}

function setRoots(calls: OpenSsl, context: Pointer, pem: string): void {
  const roots = readCertificates(calls, pem);
  if (roots.length === 0) throw refused(calls, "read trusted roots");
  for (const root of roots) {
    const isTrusted = calls.trust(context, root);
    calls.freeCertificate(root);
    if (!isTrusted) throw refused(calls, "trust a root");
  }
}

/** All of a file, in its order; who gets them frees them. */
function readCertificates(calls: OpenSsl, text: string): readonly Pointer[] {
  return reading(calls, text, (pem) => {
    const all: Pointer[] = [];
    while (all.length < maxCertificates) {
      const one = calls.readCertificate(pem);
      if (one === 0) break;
      all.push(one);
    }
    calls.clearErrors(); // the end of the file is one
    return all;
  });
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

function refused(calls: OpenSsl, what: string): MeshError {
  const reason = calls.errorReason();
  calls.clearErrors();
  return new MeshError("proxy.tls.context", reason === "" ? what : `${what}: ${reason}`);
}
