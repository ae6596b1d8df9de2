/**
 * Whether the peer of a TCP connection has closed it, asked of the kernel without reading: what is read is read by the
 * event loop, which may be a turn behind. About 1.5 µs.
 */

import { libc } from "./ffi.ts";

const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_CLOSE = 7; // a reset has come
const TCP_CLOSE_WAIT = 8; // a FIN has come
const stateBytes = 1; // the state is the first byte of struct tcp_info; the kernel gives as much as is asked for

const state = new Uint8Array(stateBytes);
const length = new Uint8Array(4);

export function isHungUp(fd: number): boolean {
  length[0] = stateBytes;
  if (!libc().getsockopt(fd, IPPROTO_TCP, TCP_INFO, state, length)) return false;
  return state[0] === TCP_CLOSE || state[0] === TCP_CLOSE_WAIT;
}
