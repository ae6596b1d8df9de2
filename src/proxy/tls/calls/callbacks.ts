/** What OpenSSL asks and tells while it works on a connection. One set of functions serves all of them. */

import koffi from "koffi";
import type { Library, Pointer } from "./library.ts";

/** Whoever is asked and told about one connection. Nothing here may throw: OpenSSL is on the stack. */
export interface Watcher {
  /** A server's, each name behind its length (RFC 7301 §3.1), the best first; undefined: no preference. */
  readonly protocols: Buffer | undefined;
  /** A line of a log of keys (RFC 9850 §2): a secret's label, the client's random and the secret. */
  onSecret(line: string): void;
  /** A record's header was read or written, before its content is looked at, or once the record is made. */
  onRecord(isWritten: boolean): void;
  /** A message of the handshake protocol was read or written whole, before what it changes is changed. */
  onMessage(isWritten: boolean, type: number): void;
}

/** By the pointers of their connections. */
export const watchers: Map<Pointer, Watcher> = new Map();

export interface CallbackCalls {
  /** Has the watchers of a context's connections asked and told. */
  setCallbacks(context: Pointer): void;
}

export function bindCallbacks(library: Library): CallbackCalls {
  const setProtocolChoice = bindProtocolChoice(library);
  const setSecrets = bindSecrets(library);
  const setMessages = bindMessages(library);
  return {
    setCallbacks(context) {
      setProtocolChoice(context);
      setSecrets(context);
      setMessages(context);
    },
  };
}

type Bound = CallbackCalls["setCallbacks"];

/** ALPN at the server's end. */
function bindProtocolChoice(library: Library): Bound {
  const select = library.func(
    "int SSL_select_next_proto(uintptr_t, uintptr_t, const void *, uint, uintptr_t, uint)",
  );
  const set = library.func("void SSL_CTX_set_alpn_select_cb(uintptr_t, void *, uintptr_t)");
  const shape = koffi.proto(
    "int HeddleSelectProtocol(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uint, uintptr_t)",
  );
  const callback = koffi.register(
    (ssl: Pointer, out: Pointer, outLength: Pointer, offered: Pointer, length: number) => {
      const list = watchers.get(ssl)?.protocols;
      if (list === undefined) return SSL_TLSEXT_ERR_NOACK;
      // What is chosen points into one of the two lists; OpenSSL copies it when this returns.
      const found = select(out, outLength, list, list.length, offered, length);
      // RFC 7301 §3.2: a server that speaks nothing of what is offered says so, and ends it.
      return found === OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
    },
    koffi.pointer(shape),
  );
  return (context) => set(context, callback, 0);
}

function bindSecrets(library: Library): Bound {
  const set = library.func("void SSL_CTX_set_keylog_callback(uintptr_t, void *)");
  const shape = koffi.proto("void HeddleKeyLog(uintptr_t, const char *)");
  const callback = koffi.register(
    (ssl: Pointer, line: string) => watchers.get(ssl)?.onSecret(line),
    koffi.pointer(shape),
  );
  return (context) => set(context, callback);
}

function bindMessages(library: Library): Bound {
  const set = library.func("void SSL_CTX_set_msg_callback(uintptr_t, void *)");
  const shape = koffi.proto(
    "void HeddleMessage(int, int, int, const void *, size_t, uintptr_t, uintptr_t)",
  );
  const callback = koffi.register(
    (
      written: number,
      _version: number,
      kind: number,
      bytes: unknown,
      _length: number,
      ssl: Pointer,
    ) => {
      if (kind === SSL3_RT_HEADER) watchers.get(ssl)?.onRecord(written === 1);
      else if (kind === SSL3_RT_HANDSHAKE) {
        watchers.get(ssl)?.onMessage(written === 1, koffi.decode(bytes, "uint8_t"));
      }
    },
    koffi.pointer(shape),
  );
  return (context) => set(context, callback);
}

// From openssl/ssl3.h, tls1.h and ssl.h of OpenSSL 3.
const SSL3_RT_HANDSHAKE = 22;
const SSL3_RT_HEADER = 256;
const SSL_TLSEXT_ERR_OK = 0;
const SSL_TLSEXT_ERR_ALERT_FATAL = 2;
const SSL_TLSEXT_ERR_NOACK = 3;
const OPENSSL_NPN_NEGOTIATED = 1;
