/**
 * What the first bytes of a connection tell of the chain that takes it: whether they are TLS, which server name and
 * protocols its ClientHello has, or which protocol they begin.
 *
 * As little is looked at as chains differ by. Undecided goes on for as long as more may come; who must decide takes
 * what cannot be told for another protocol.
 *
 * Not here: how a connection waits for its bytes, and for how long (incoming.ts); which match is the more specific
 * (chain-choice.ts).
 */

import type { ChainTls, CompiledChain } from "../config/tables.ts";
import {
  type Chains,
  forProtocol,
  forServerName,
  forTransport,
  needsProtocol,
  needsServerName,
} from "./chain-choice.ts";
import { readClientHello } from "./client-hello.ts";
import { detect } from "./detect.ts";

export type Told =
  /** More bytes are needed. */
  | { readonly kind: "nothing" }
  /** Undefined: no chain takes it but the listener's default. */
  | { readonly kind: "taken"; readonly chain: CompiledChain | undefined }
  /** TLS ends here; what is inside it tells these chains apart. */
  | { readonly kind: "terminate"; readonly tls: ChainTls; readonly chains: Chains };

const nothing: Told = { kind: "nothing" };
const handshakeRecord = 0x16; // RFC 8446 §5.1

/** Of a connection's very first bytes. `mustDecide`: no more will come, or they are not waited for. */
export function tell(bytes: Buffer, chains: Chains, mustDecide: boolean): Told {
  if (bytes[0] === handshakeRecord) {
    return tellByHello(bytes, forTransport(chains, "tls"), mustDecide);
  }
  if (bytes.length === 0 && !mustDecide) return nothing;
  return tellProtocol(bytes, forTransport(chains, "raw"), mustDecide);
}

/** Of the first bytes of what is not TLS, or is inside it. */
export function tellProtocol(bytes: Buffer, chains: Chains, mustDecide: boolean): Told {
  if (!needsProtocol(chains)) return taken(forProtocol(chains, undefined));
  const protocol = detect(bytes);
  if (protocol === undefined && !mustDecide) return nothing;
  return taken(forProtocol(chains, protocol ?? "other"));
}

function tellByHello(bytes: Buffer, all: Chains, mustDecide: boolean): Told {
  const tellsByName = needsServerName(all);
  // Mesh TLS is terminated, an application's own passed through: ALPN tells which is which.
  const tellsByAlpn = all.some((chain) => chain.tls === undefined) && needsProtocol(all);
  const hello = tellsByName || tellsByAlpn ? readClientHello(bytes) : undefined;
  if ((tellsByName || tellsByAlpn) && hello === undefined && !mustDecide) return nothing;
  const chains = tellsByName ? forServerName(all, hello?.serverName) : all;
  const terminating = chains.filter((chain) => chain.tls !== undefined);
  const [first] = terminating;
  if (terminating.length < chains.length && needsProtocol(chains)) {
    const offered = hello?.alpn ?? [];
    const named = offered
      .map((name) => forProtocol(chains, name))
      .find((chain) => chain?.match.applicationProtocols?.length);
    return taken(named ?? forProtocol(chains, undefined));
  }
  if (first?.tls === undefined) return taken(forProtocol(chains, undefined));
  return { kind: "terminate", tls: first.tls, chains: terminating };
}

function taken(chain: CompiledChain | undefined): Told {
  return { kind: "taken", chain };
}
