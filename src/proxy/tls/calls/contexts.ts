/** OpenSSL's calls for what connections share: settings, certificates, and trusted roots. */

import { type Library, owned, type Pointer } from "./library.ts";

/**
 * What `context.ts` needs: settings that connections share. Results are OpenSSL's: 1 or a pointer for success, else 0.
 */
export interface ContextCalls {
  newContext(): Pointer;
  freeContext(context: Pointer): void;
  /** TLS 1.3 alone, with the suites of a list. */
  setTls13(context: Pointer, suites: string): boolean;
  /**
   * Records' buffers are given back while a connection idles; of chains only what was given is sent, as it is; `read`
   * returns after each record, also one without data.
   */
  setModes(context: Pointer): void;
  /** No session is kept here: clients keep theirs as bytes, and servers' are in the tickets. */
  setSessions(context: Pointer, name: string, seconds: number): boolean;
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

export function bindContexts(library: Library): ContextCalls {
  const method = library.func("uintptr_t TLS_method()");
  const make = library.func("uintptr_t SSL_CTX_new(uintptr_t)");
  const free = library.func("void SSL_CTX_free(uintptr_t)");
  const control = library.func("long SSL_CTX_ctrl(uintptr_t, int, long, uintptr_t)");
  const setOptions = library.func("uint64_t SSL_CTX_set_options(uintptr_t, uint64_t)");
  const setSuites = library.func("int SSL_CTX_set_ciphersuites(uintptr_t, const char *)");
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
    setTls13(context, suites) {
      control(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_3_VERSION, 0);
      return setSuites(context, suites) === 1;
    },
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

// From openssl/ssl.h and tls1.h of OpenSSL 3.
const TLS1_3_VERSION = 0x0304;
const SSL_CTRL_MODE = 33;
const SSL_CTRL_CLEAR_MODE = 78;
const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
const SSL_CTRL_CHAIN_CERT = 89;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const SSL_MODE_AUTO_RETRY = 0x04;
const SSL_MODE_NO_AUTO_CHAIN = 0x08;
const SSL_MODE_RELEASE_BUFFERS = 0x10;
const SSL_OP_NO_TX_CERTIFICATE_COMPRESSION = 1n << 32n;
const SSL_OP_NO_RX_CERTIFICATE_COMPRESSION = 1n << 33n;
const SSL_SESS_CACHE_OFF = 0;
