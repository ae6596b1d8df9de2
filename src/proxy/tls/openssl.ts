/**
 * OpenSSL as it is inside Node, called directly: what TLS inside the mesh needs of it, bound once and typed.
 *
 * Node exports its OpenSSL for addons, so that this is the very library that `node:tls` uses, with nothing to install and
 * the same fixes. A call costs 0.1 to 0.3 µs beyond its work. What Node puts around a connection's records instead (a chain
 * of buffers, a write request and a tick for each) costs more than the records themselves: docs/adr/0014.
 *
 * Pointers are numbers here, 0 for none. They are not counted or checked: `context.ts` and `connection.ts` own one kind
 * each, free it once, and let none out.
 *
 * Not here: what the calls are for.
 */

import koffi from "koffi";
import { MeshError } from "../../base/error.ts";

export type Pointer = number;

export const SSL_VERIFY_PEER = 0x01;
export const SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 0x02;
export const SSL_ERROR_WANT_READ = 2;
export const SSL_ERROR_ZERO_RETURN = 6;
export const SSL_KEY_UPDATE_NOT_REQUESTED = 0;

/** What `context.ts` needs: settings that connections share. Results are OpenSSL's: 1 or a pointer for success, else 0. */
export interface ContextCalls {
  newContext(): Pointer;
  freeContext(context: Pointer): void;
  setTls13(context: Pointer): void;
  /**
   * Records' buffers are given back while a connection idles; of chains only what was given is sent, as it is; `read` returns
   * after each record, also one without data.
   */
  setModes(context: Pointer): void;
  /** No session is kept here: clients keep theirs as bytes, and servers' are in the tickets. */
  setSessions(context: Pointer, name: string, seconds: number): boolean;
  /** `choose` is asked while a ClientHello is dealt with: `list` as `select` below wants it; undefined: no preference. */
  selectProtocols(context: Pointer, choose: () => Buffer | undefined): void;
  readCertificate(pem: Pointer): Pointer;
  readKey(pem: Pointer): Pointer;
  freeCertificate(certificate: Pointer): void;
  freeKey(key: Pointer): void;
  /** Keeps a reference of its own, and so do the next. */
  setCertificate(context: Pointer, certificate: Pointer): boolean;
  addToChain(context: Pointer, certificate: Pointer): boolean;
  setKey(context: Pointer, key: Pointer): boolean;
  trust(context: Pointer, root: Pointer): boolean;
}

/** What `connection.ts` needs. */
export interface ConnectionCalls {
  newConnection(context: Pointer): Pointer;
  /** With all that belongs to it; of its BIOs only its own reference. */
  freeConnection(connection: Pointer): void;
  setBios(connection: Pointer, arriving: Pointer, leaving: Pointer): void;
  setClient(connection: Pointer): void;
  setServer(connection: Pointer): void;
  verifyPeer(connection: Pointer, mode: number): void;
  setServerName(connection: Pointer, name: string): boolean;
  /** As `selectProtocols` has it. */
  offerProtocols(connection: Pointer, list: Buffer): boolean;
  handshake(connection: Pointer): number;
  read(connection: Pointer, into: Buffer, at: number, length: number): number;
  write(connection: Pointer, bytes: Uint8Array, at: number, length: number): number;
  shutdown(connection: Pointer): number;
  errorOf(connection: Pointer, result: number): number;
  updateKey(connection: Pointer, kind: number): boolean;
  /** Once the handshake is over, nothing needs them any more; OpenSSL would keep them for as long as the connection. */
  forgetEphemeralKeys(connection: Pointer): void;
  /** In DER. */
  peerCertificate(connection: Pointer): Buffer | undefined;
  protocolOf(connection: Pointer): string | undefined;
  isResumed(connection: Pointer): boolean;
  /** Undefined: the certificate was accepted, or there was none. */
  verifyProblem(connection: Pointer): string | undefined;
  /** In PEM; undefined: it has none that another connection could go on from. */
  sessionOf(connection: Pointer): Buffer | undefined;
  goOnFrom(connection: Pointer, session: Buffer): boolean;
}

/** Memory that OpenSSL reads from and writes to. */
export interface BioCalls {
  newMemory(): Pointer;
  put(bio: Pointer, bytes: Uint8Array, at: number, length: number): number;
  take(bio: Pointer, into: Buffer, at: number, length: number): number;
  pending(bio: Pointer): number;
  empty(bio: Pointer): void;
  free(bio: Pointer): void;
}

export interface OpenSsl extends ContextCalls, ConnectionCalls {
  readonly bio: BioCalls;
  /** Forgets errors of calls before. Where it was left to do, the next failure would be taken for theirs. */
  clearErrors(): void;
  /** The reason of the first error since then; "" where there is none. Others may follow from it. */
  errorReason(): string;
  /** The last error is no error: no PEM began before the end of what was read. */
  isEndOfPem(): boolean;
}

let bound: OpenSsl | undefined;

/** Throws MeshError `proxy.tls.absent` where Node hides its OpenSSL. */
export function openSsl(): OpenSsl {
  bound ??= bind();
  return bound;
}

function bind(): OpenSsl {
  try {
    return bindAll();
  } catch (cause) {
    throw new MeshError("proxy.tls.absent", "find OpenSSL's functions in this build of Node", {
      cause,
      fault: "host",
    });
  }
}

type Library = ReturnType<typeof koffi.load>;

function bindAll(): OpenSsl {
  // Null is the program itself; the types have only files.
  const library = koffi.load(null as unknown as string);
  const bio = bindBios(library);
  const clearErrors = library.func("void ERR_clear_error()");
  const peekError = library.func("unsigned long ERR_peek_error()");
  const peekLastError = library.func("unsigned long ERR_peek_last_error()");
  const reason = library.func("const char *ERR_reason_error_string(unsigned long)");
  return {
    bio,
    ...bindContexts(library),
    ...bindConnections(library, bio),
    clearErrors() {
      if (peekError() !== 0) clearErrors();
    },
    errorReason: () => String(reason(peekError()) ?? ""),
    isEndOfPem: () => Number(peekLastError()) === PEM_R_NO_START_LINE,
  };
}

function bindBios(library: Library): BioCalls {
  const kind = library.func("uintptr_t BIO_s_mem()");
  const make = library.func("uintptr_t BIO_new(uintptr_t)");
  const write = library.func("int BIO_write(uintptr_t, const void *, int)");
  const read = library.func("int BIO_read(uintptr_t, void *, int)");
  const pending = library.func("size_t BIO_ctrl_pending(uintptr_t)");
  const control = library.func("long BIO_ctrl(uintptr_t, int, long, uintptr_t)");
  const free = library.func("int BIO_free(uintptr_t)");
  return {
    newMemory: () => owned(make(kind())),
    put: (bio, bytes, at, length) => write(bio, from(bytes, at), length),
    take: (bio, into, at, length) => read(bio, from(into, at), length),
    pending: (bio) => pending(bio),
    empty: (bio) => void control(bio, BIO_CTRL_RESET, 0, 0),
    free: (bio) => void free(bio),
  };
}

function bindContexts(library: Library): ContextCalls {
  const method = library.func("uintptr_t TLS_method()");
  const make = library.func("uintptr_t SSL_CTX_new(uintptr_t)");
  const free = library.func("void SSL_CTX_free(uintptr_t)");
  const control = library.func("long SSL_CTX_ctrl(uintptr_t, int, long, uintptr_t)");
  const setOptions = library.func("uint64_t SSL_CTX_set_options(uintptr_t, uint64_t)");
  const setName = library.func("int SSL_CTX_set_session_id_context(uintptr_t, const char *, int)");
  const setTimeout = library.func("long SSL_CTX_set_timeout(uintptr_t, long)");
  const setCertificate = library.func("int SSL_CTX_use_certificate(uintptr_t, uintptr_t)");
  const setKey = library.func("int SSL_CTX_use_PrivateKey(uintptr_t, uintptr_t)");
  const checkKey = library.func("int SSL_CTX_check_private_key(uintptr_t)");
  const store = library.func("uintptr_t SSL_CTX_get_cert_store(uintptr_t)");
  const addToStore = library.func("int X509_STORE_add_cert(uintptr_t, uintptr_t)");
  const addName = library.func("int SSL_CTX_add_client_CA(uintptr_t, uintptr_t)");
  const certificate = library.func(
    "uintptr_t PEM_read_bio_X509(uintptr_t, uintptr_t, uintptr_t, uintptr_t)",
  );
  const key = library.func(
    "uintptr_t PEM_read_bio_PrivateKey(uintptr_t, uintptr_t, uintptr_t, uintptr_t)",
  );
  const freeCertificate = library.func("void X509_free(uintptr_t)");
  const freeKey = library.func("void EVP_PKEY_free(uintptr_t)");
  return {
    newContext: () => owned(make(method())),
    freeContext: (context) => void free(context),
    setTls13: (context) => void control(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_3_VERSION, 0),
    setModes(context) {
      control(context, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN, 0);
      control(context, SSL_CTRL_CLEAR_MODE, SSL_MODE_AUTO_RETRY, 0);
      // A certificate of a few hundred bytes took milliseconds to compress (bench/mtls-handshake.ts).
      setOptions(
        context,
        SSL_OP_NO_TX_CERTIFICATE_COMPRESSION | SSL_OP_NO_RX_CERTIFICATE_COMPRESSION,
      );
    },
    setSessions(context, name, seconds) {
      control(context, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, 0);
      setTimeout(context, seconds);
      return setName(context, name, name.length) === 1;
    },
    selectProtocols: bindProtocolChoice(library),
    readCertificate: (pem) => certificate(pem, 0, 0, 0),
    readKey: (pem) => key(pem, 0, 0, 0),
    freeCertificate: (one) => void freeCertificate(one),
    freeKey: (one) => void freeKey(one),
    setCertificate: (context, one) => setCertificate(context, one) === 1,
    addToChain: (context, one) => control(context, SSL_CTRL_CHAIN_CERT, 1, one) === 1,
    setKey: (context, one) => setKey(context, one) === 1 && checkKey(context) === 1,
    trust: (context, root) =>
      addToStore(store(context), root) === 1 && addName(context, root) === 1,
  };
}

/** ALPN at the server's end, which OpenSSL asks for by a call back. */
function bindProtocolChoice(library: Library): ContextCalls["selectProtocols"] {
  const select = library.func(
    "int SSL_select_next_proto(uintptr_t, uintptr_t, const void *, uint, uintptr_t, uint)",
  );
  const setSelect = library.func("void SSL_CTX_set_alpn_select_cb(uintptr_t, void *, uintptr_t)");
  const shape = koffi.proto(
    "int HeddleSelectProtocol(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uint, uintptr_t)",
  );
  let asked: (() => Buffer | undefined) | undefined;
  const callback = koffi.register(
    (_ssl: Pointer, out: Pointer, outLength: Pointer, offered: Pointer, length: number) => {
      const list = asked?.();
      if (list === undefined) return SSL_TLSEXT_ERR_NOACK;
      // What is chosen points into one of the two lists; OpenSSL copies it when this returns.
      const found = select(out, outLength, list, list.length, offered, length);
      // RFC 7301 §3.2: a server that speaks nothing of what is offered says so, and ends it.
      return found === OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
    },
    koffi.pointer(shape),
  );
  return (context, choose) => {
    asked = choose;
    setSelect(context, callback, 0);
  };
}

function bindConnections(library: Library, bio: BioCalls): ConnectionCalls {
  const make = library.func("uintptr_t SSL_new(uintptr_t)");
  const free = library.func("void SSL_free(uintptr_t)");
  const setBios = library.func("void SSL_set_bio(uintptr_t, uintptr_t, uintptr_t)");
  const keepBio = library.func("int BIO_up_ref(uintptr_t)");
  const setClient = library.func("void SSL_set_connect_state(uintptr_t)");
  const setServer = library.func("void SSL_set_accept_state(uintptr_t)");
  const setVerify = library.func("void SSL_set_verify(uintptr_t, int, uintptr_t)");
  const control = library.func("long SSL_ctrl(uintptr_t, int, long, const char *)");
  const setProtocols = library.func("int SSL_set_alpn_protos(uintptr_t, const void *, uint)");
  const handshake = library.func("int SSL_do_handshake(uintptr_t)");
  const read = library.func("int SSL_read(uintptr_t, void *, int)");
  const write = library.func("int SSL_write(uintptr_t, const void *, int)");
  const shutdown = library.func("int SSL_shutdown(uintptr_t)");
  const errorOf = library.func("int SSL_get_error(uintptr_t, int)");
  const updateKey = library.func("int SSL_key_update(uintptr_t, int)");
  return {
    newConnection: (context) => owned(make(context)),
    freeConnection: (connection) => void free(connection),
    setBios(connection, arriving, leaving) {
      keepBio(arriving);
      keepBio(leaving);
      setBios(connection, arriving, leaving);
    },
    setClient: (connection) => void setClient(connection),
    setServer: (connection) => void setServer(connection),
    verifyPeer: (connection, mode) => void setVerify(connection, mode, 0),
    setServerName: (connection, name) =>
      control(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, name) === 1,
    offerProtocols: (connection, list) => setProtocols(connection, list, list.length) === 0,
    handshake: (connection) => handshake(connection),
    read: (connection, into, at, length) => read(connection, from(into, at), length),
    write: (connection, bytes, at, length) => write(connection, from(bytes, at), length),
    shutdown: (connection) => shutdown(connection),
    errorOf: (connection, result) => errorOf(connection, result),
    updateKey: (connection, kind) => updateKey(connection, kind) === 1,
    forgetEphemeralKeys: bindEphemeralKeys(library),
    ...bindPeer(library, bio),
  };
}

function bindEphemeralKeys(library: Library): ConnectionCalls["forgetEphemeralKeys"] {
  const control = library.func("long SSL_ctrl(uintptr_t, int, long, void *)");
  const setType = library.func("int EVP_PKEY_set_type(uintptr_t, int)");
  const free = library.func("void EVP_PKEY_free(uintptr_t)");
  const pointer = Buffer.alloc(8);
  return (connection) => {
    for (const which of [SSL_CTRL_GET_PEER_TMP_KEY, SSL_CTRL_GET_TMP_KEY]) {
      if (control(connection, which, 0, pointer) !== 1) continue;
      const key = Number(pointer.readBigUInt64LE()); // with a reference for us
      setType(key, EVP_PKEY_X25519); // whatever type it gets, it loses what it had of another
      free(key);
    }
  };
}

/** What a handshake settled. */
function bindPeer(
  library: Library,
  bio: BioCalls,
): Pick<
  ConnectionCalls,
  "peerCertificate" | "protocolOf" | "isResumed" | "verifyProblem" | "sessionOf" | "goOnFrom"
> {
  const certificateOf = library.func("uintptr_t SSL_get1_peer_certificate(uintptr_t)");
  const freeCertificate = library.func("void X509_free(uintptr_t)");
  const writeDer = library.func("int i2d_X509_bio(uintptr_t, uintptr_t)");
  const protocol = library.func("void SSL_get0_alpn_selected(uintptr_t, void *, void *)");
  const writeFrom = library.func("int BIO_write(uintptr_t, uintptr_t, int)");
  const isReused = library.func("int SSL_session_reused(uintptr_t)");
  const verdict = library.func("long SSL_get_verify_result(uintptr_t)");
  const problem = library.func("const char *X509_verify_cert_error_string(long)");
  const session = library.func("uintptr_t SSL_get_session(uintptr_t)");
  const isResumable = library.func("int SSL_SESSION_is_resumable(uintptr_t)");
  const writeSession = library.func("int PEM_write_bio_SSL_SESSION(uintptr_t, uintptr_t)");
  const readSession = library.func(
    "uintptr_t PEM_read_bio_SSL_SESSION(uintptr_t, uintptr_t, uintptr_t, uintptr_t)",
  );
  const setSession = library.func("int SSL_set_session(uintptr_t, uintptr_t)");
  const freeSession = library.func("void SSL_SESSION_free(uintptr_t)");
  const scratch = bio.newMemory();
  const pointer = Buffer.alloc(8);
  const length = Buffer.alloc(4);
  return {
    peerCertificate(connection) {
      const certificate: Pointer = certificateOf(connection);
      if (certificate === 0) return undefined;
      writeDer(scratch, certificate);
      freeCertificate(certificate);
      return takeAll(bio, scratch);
    },
    protocolOf(connection) {
      protocol(connection, pointer, length);
      const bytes = length.readUInt32LE();
      if (bytes === 0) return undefined;
      writeFrom(scratch, Number(pointer.readBigUInt64LE()), bytes);
      return takeAll(bio, scratch).toString("latin1");
    },
    isResumed: (connection) => isReused(connection) === 1,
    verifyProblem(connection) {
      const code: number = verdict(connection);
      return code === X509_V_OK ? undefined : String(problem(code));
    },
    sessionOf(connection) {
      const current: Pointer = session(connection);
      if (current === 0 || isResumable(current) !== 1) return undefined;
      writeSession(scratch, current);
      return takeAll(bio, scratch);
    },
    goOnFrom(connection, pem) {
      bio.put(scratch, pem, 0, pem.length);
      const kept: Pointer = readSession(scratch, 0, 0, 0);
      bio.empty(scratch);
      if (kept === 0) return false;
      const isSet = setSession(connection, kept) === 1;
      freeSession(kept);
      return isSet;
    },
  };
}

const nothing = Buffer.alloc(0);

/** Takes all that is in it. */
export function takeAll(bio: BioCalls, from: Pointer): Buffer {
  const length = bio.pending(from);
  if (length === 0) return nothing;
  const bytes = Buffer.alloc(length);
  bio.take(from, bytes, 0, length);
  return bytes;
}

/** From `at` on. */
function from(bytes: Uint8Array, at: number): Uint8Array {
  return at === 0 ? bytes : bytes.subarray(at);
}

/** Out of memory is all that keeps OpenSSL from making something. */
function owned(made: Pointer): Pointer {
  if (made === 0) throw new RangeError("OpenSSL is out of memory");
  return made;
}

// From openssl/ssl.h, tls1.h, bio.h, err.h, pemerr.h and x509_vfy.h of OpenSSL 3.
const TLS1_3_VERSION = 0x0304;
const SSL_CTRL_MODE = 33;
const SSL_CTRL_CLEAR_MODE = 78;
const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const SSL_CTRL_CHAIN_CERT = 89;
const SSL_CTRL_GET_PEER_TMP_KEY = 109;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const SSL_CTRL_GET_TMP_KEY = 133;
const EVP_PKEY_X25519 = 1034;
const SSL_MODE_AUTO_RETRY = 0x04;
const SSL_MODE_NO_AUTO_CHAIN = 0x08;
const SSL_MODE_RELEASE_BUFFERS = 0x10;
const SSL_OP_NO_TX_CERTIFICATE_COMPRESSION = 1n << 32n;
const SSL_OP_NO_RX_CERTIFICATE_COMPRESSION = 1n << 33n;
const SSL_SESS_CACHE_OFF = 0;
const SSL_TLSEXT_ERR_OK = 0;
const SSL_TLSEXT_ERR_ALERT_FATAL = 2;
const SSL_TLSEXT_ERR_NOACK = 3;
const OPENSSL_NPN_NEGOTIATED = 1;
const BIO_CTRL_RESET = 1;
/** With the number of its library, as errors come. */
const PEM_R_NO_START_LINE = (9 << 23) | 108;
const X509_V_OK = 0;
