/**
 * Reads the packets that our rules refuse: they go to an NFLOG group, of which a socket can be the one reader.
 *
 * Reading never waits: what has come since the last time is in the socket's buffer, and what does not fit there the
 * kernel forgets. So a flood of refused packets costs its reader no more than the buffer holds.
 */

import { MeshError } from "../base/error.ts";
import {
  bindLogGroup,
  decodeLoggedPacket,
  type LoggedPacket,
  setLogMode,
} from "../wire/netlink/nflog.ts";
import { EBUSY, EPERM, SystemCallError } from "./ffi.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "./netlink-socket.ts";

export interface DropLog {
  /** What was refused since the last time; of more than a few thousand packets the rest is passed over. */
  read(): readonly LoggedPacket[];
  close(): void;
}

const batchPackets = 64;
const batchHundredths = 10;
/** About four thousand packets. */
const bufferBytes = 1024 * 1024;
const datagramsPerRead = 256;

/** Becomes the reader of the group in the thread's present network namespace. */
export function openDropLog(group: number): DropLog {
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  try {
    socket.request(bindLogGroup(group));
    socket.request(setLogMode(group, batchPackets, batchHundredths));
    socket.setReceiveBuffer(bufferBytes);
  } catch (cause) {
    socket.close();
    // EPERM is what nfnetlink_log answers to all but the group's reader.
    const isTaken = cause instanceof SystemCallError && [EPERM, EBUSY].includes(cause.errno);
    throw new MeshError(
      isTaken ? "kernel.nflog.taken" : "kernel.nflog.open",
      isTaken ? `read NFLOG group ${group}: another program reads it` : `read NFLOG group ${group}`,
      { cause, fault: "host" },
    );
  }
  return {
    read: () => {
      const packets = socket.drain(datagramsPerRead, (payload, type) =>
        decodeLoggedPacket(type, payload),
      );
      socket.drain(Number.POSITIVE_INFINITY, () => undefined);
      return packets;
    },
    close: () => socket.close(),
  };
}
