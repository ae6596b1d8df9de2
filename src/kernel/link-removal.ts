/**
 * Deletes links without waiting where the kernel waits.
 *
 * Deleting takes the kernel 16 to 40 ms, nearly all of it after the links are gone from every list: it waits until no
 * processor can still be handling a packet of theirs, and does so without holding the lock that other requests need.
 * So the request runs on another thread, and this one only asks until the links are gone, which takes about half a
 * millisecond. Many links go as a group in the time of one.
 */

import { changeLink, deleteLink, deleteLinkGroup } from "../wire/netlink/link.ts";
import type { NetlinkSocket } from "./netlink-socket.ts";
import { findLink } from "./pod-interface.ts";
import { absent, doing } from "./refusal.ts";

/** Links that are being deleted; nothing else is ever put into it. */
const doomedGroup = 0x48_44;
const mostAtOnce = 2; // of the four threads that Node's pool has, so that files and names never wait for links
const longestWaitMs = 50; // more than a deletion takes: then the thread has not even begun

export class LinkRemover {
  readonly #socket: NetlinkSocket;
  readonly #openSocket: () => NetlinkSocket;
  #running = 0;

  /** `openSocket` opens a socket in the namespace of `socket`. */
  constructor(socket: NetlinkSocket, openSocket: () => NetlinkSocket) {
    this.#socket = socket;
    this.#openSocket = openSocket;
  }

  /** Deletes links; absent ones are success. They are gone when this returns. */
  remove(names: readonly string[]): void {
    if (this.#running >= mostAtOnce) {
      for (const name of names) removeLink(this.#socket, name);
      return;
    }
    const doomed = names.filter((name) => this.#doom(name));
    if (doomed.length === 0) return;
    const socket = this.#openSocket();
    this.#running += 1;
    socket.requestInBackgroundAndClose(deleteLinkGroup(doomedGroup), () => {
      this.#running -= 1;
    });
    const deadline = performance.now() + longestWaitMs;
    for (const name of doomed) {
      while (findLink(this.#socket, name) !== undefined) {
        if (performance.now() > deadline) removeLink(this.#socket, name);
      }
    }
  }

  /** False where there is no such link. */
  #doom(name: string): boolean {
    const link = findLink(this.#socket, name);
    if (link === undefined) return false;
    const mark = () => {
      this.#socket.request(changeLink(link.index, { group: doomedGroup }));
      return true;
    };
    return doing("link", `delete link ${name}`, mark, absent) ?? false;
  }
}

/** Deletes a link and waits for all of it; an absent one is success. */
export function removeLink(socket: NetlinkSocket, name: string): void {
  doing("link", `delete link ${name}`, () => socket.request(deleteLink(name)), absent);
}
