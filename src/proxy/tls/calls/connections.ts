/** OpenSSL's calls for one connection: handshake, records, and what the handshake has settled. */

import { type BioCalls, takeAll } from "./bios.ts";
import { from, type Library, owned, type Pointer } from "./library.ts";

// From openssl/ssl.h of OpenSSL 3.
export const SSL_VERIFY_PEER = 0x01;
export const SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 0x02;
export const SSL_ERROR_WANT_READ = 2;
export const SSL_ERROR_ZERO_RETURN = 6;
export const SSL_KEY_UPDATE_NOT_REQUESTED = 0;

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
  /** Each name behind its length (RFC 7301 §3.1). */
  offerProtocols(connection: Pointer, list: Buffer): boolean;
  handshake(connection: Pointer): number;
  read(connection: Pointer, into: Buffer, at: number, length: number): number;
  write(connection: Pointer, bytes: Uint8Array, at: number, length: number): number;
  shutdown(connection: Pointer): number;
  errorOf(connection: Pointer, result: number): number;
  /** Part of a message that is not data has come, or the handshake is not over. */
  isInHandshake(connection: Pointer): boolean;
  updateKey(connection: Pointer, kind: number): boolean;
  /** The peer has asked for a change of keys, which comes with the next `write`. */
  owesKeyUpdate(connection: Pointer): boolean;
  /** By its number (RFC 8446 §B.4), once it is agreed on. */
  suiteOf(connection: Pointer): number;
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

export function bindConnections(library: Library, bio: BioCalls): ConnectionCalls {
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
  const isInHandshake = library.func("int SSL_in_init(uintptr_t)");
  const updateKey = library.func("int SSL_key_update(uintptr_t, int)");
  const keyUpdate = library.func("int SSL_get_key_update_type(uintptr_t)");
  const suite = library.func("uintptr_t SSL_get_current_cipher(uintptr_t)");
  const numberOf = library.func("uint16_t SSL_CIPHER_get_protocol_id(uintptr_t)");
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
    isInHandshake: (connection) => isInHandshake(connection) === 1,
    updateKey: (connection, kind) => updateKey(connection, kind) === 1,
    owesKeyUpdate: (connection) => keyUpdate(connection) !== SSL_KEY_UPDATE_NONE,
    suiteOf: (connection) => numberOf(suite(connection)),
    ...bindPeer(library, bio),
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

// From openssl/ssl.h and x509_vfy.h of OpenSSL 3.
const SSL_KEY_UPDATE_NONE = -1;
const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const X509_V_OK = 0;
