/**
 * OpenSSL as it is inside Node, called directly: what TLS inside the mesh needs of it, bound once and typed.
 *
 * Node exports its OpenSSL for addons, so that this is the very library that `node:tls` uses, with nothing to install
 * and the same fixes. A call costs 0.1 to 0.3 µs beyond its work. What Node puts around a connection's records instead
 * (a chain of buffers, a write request and a tick for each) costs more than the records themselves: docs/adr/0014.
 *
 * Pointers are numbers here, 0 for none. They are not counted or checked, and none leaves this folder. Who owns what:
 *
 *   what                                   owner                                   given back
 *   -------------------------------------  --------------------------------------  ----------------------------------
 *   SSL_CTX                                a TlsContext; each SSL counts as one    when the TlsContext is collected,
 *                                            more                                    and its last SSL is freed
 *   SSL, with session, peer's chain and    a TlsConnection                         at the hand-over to `Records`, else by
 *     its entry in `watchers`                                                        `close`, which the close of its
 *                                                                                    socket calls; then it throws
 *   EVP_CIPHER, and two EVP_CIPHER_CTX     the process                             never
 *     for it; the callbacks
 *   X509, EVP_PKEY of a configuration      the function that reads them            before it returns
 *   BIOs `arriving`, `leaving`, `scratch`  the process; each SSL has a reference   never; empty between calls
 *   `sharedPlain` (codec/secured.ts)       the process; a reader while its         never
 *                                            `onBytes` runs
 *   `sealed`, `unsealed` (there, too)      the process; `sealed` its socket's      never, or collected with the write
 *                                            where the kernel did not take all       that it was left to
 *
 * Not here: what the calls are for.
 */

import koffi from "koffi";
import { MeshError } from "../../base/error.ts";
import { alertName } from "./alerts.ts";
import { type AeadCalls, bindAeads } from "./calls/aead.ts";
import { type BioCalls, bindBios } from "./calls/bios.ts";
import { bindCallbacks, type CallbackCalls } from "./calls/callbacks.ts";
import { bindConnections, type ConnectionCalls } from "./calls/connections.ts";
import { bindContexts, type ContextCalls } from "./calls/contexts.ts";

export interface OpenSsl extends ContextCalls, ConnectionCalls, CallbackCalls {
  readonly bio: BioCalls;
  readonly aead: AeadCalls;
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
    aead: bindAeads(library),
    ...bindCallbacks(library),
    ...bindContexts(library),
    ...bindConnections(library, bio),
    clearErrors() {
      if (peekError() !== 0) clearErrors();
    },
    errorReason() {
      const error = Number(peekError());
      const alert = error - firstAlert;
      // OpenSSL's own words do not say who of the two has sent it.
      if (alert >= 0 && alert <= 255) return `it sent the alert ${alertName(alert)}`;
      return String(reason(error) ?? "");
    },
    isEndOfPem: () => Number(peekLastError()) === PEM_R_NO_START_LINE,
  };
}

/** From openssl/err.h and ssl.h of OpenSSL 3: the number of TLS' library, then what alerts of a peer begin at. */
const firstAlert = (20 << 23) | 1_000;
/** From openssl/pemerr.h of OpenSSL 3, with the number of its library, as errors come. */
const PEM_R_NO_START_LINE = (9 << 23) | 108;
