// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The kernel's own table of connections, as the fast path asks it and writes it.
 *
 * There is no second table: a connection that was opened here is one of connection tracking's, made by its own functions,
 * found by nftables, `conntrack` and the agent, and not made where another has one of its tuples. What connection tracking
 * has not seen of a connection it must not get wrong later, and what it must not prolong stands in the connection's mark:
 *
 *   0x80000000 + n   chain `forward` let it be made, under the rules numbered n; no packet of its opener has come by since
 *   0x40000000 + …   the fast path knows it: FIN seen from one end, from the other, made by the fast path itself
 *   anything else    not decided by chain `forward`, or by an older agent's
 *
 * A connection made here is in no state that connection tracking has a name for ("NONE") until the acknowledgement of its
 * opener takes the plain path, as the third packet always does: that makes it established there, too. In between an answer
 * would be invalid on the plain path, so both ends are reached by the fast path, or the SYN is not taken. Where that
 * changes meanwhile, the opener sends its SYN again: on the plain path, as a SYN of a known connection, it starts anew.
 *
 * After a FIN a connection is forgotten as soon as one in TIME_WAIT would be. With the FIN of both ends it is closed, and
 * the next SYN of the same ports removes it first: it is never taken for part of the old one.
 */

#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "segment.h"

#define CURRENT_NETNS -1
#define OF_KERNEL __attribute__((preserve_access_index))

/* enum ip_conntrack_status */
#define IPS_EXPECTED (1 << 0)
#define IPS_SEEN_REPLY (1 << 1)
#define IPS_ASSURED (1 << 2)
#define IPS_CONFIRMED (1 << 3)
#define IPS_SRC_NAT (1 << 4)
#define IPS_DST_NAT (1 << 5)
#define IPS_SEQ_ADJUST (1 << 6)
#define IPS_DYING (1 << 9)
#define IPS_FIXED_TIMEOUT (1 << 10)
#define IPS_HELPER (1 << 13)
#define UNWANTED (IPS_SRC_NAT | IPS_DST_NAT | IPS_SEQ_ADJUST | IPS_DYING | IPS_FIXED_TIMEOUT | IPS_HELPER)
#define TCP_CONNTRACK_NONE 0
#define TCP_CONNTRACK_ESTABLISHED 3
#define IP_CT_DIR_ORIGINAL 0

#define STAMPED 0x80000000
#define KNOWN 0x40000000
#define FIN_OF_OPENER 1
#define FIN_OF_OTHER 2
#define CLOSED (FIN_OF_OPENER | FIN_OF_OTHER)
#define MADE_HERE 4
#define FLAGS (CLOSED | MADE_HERE)

struct ip_ct_tcp {
	__u8 state;
} OF_KERNEL;
union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
} OF_KERNEL;
struct nf_conn {
	unsigned long status;
	__u32 mark;
	union nf_conntrack_proto proto;
} OF_KERNEL;

struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts *options, __u32 options_size) __ksym;
extern struct nf_conn *bpf_skb_ct_alloc(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					struct bpf_ct_opts *options, __u32 options_size) __ksym;
extern void bpf_ct_set_timeout(struct nf_conn *connection, __u32 milliseconds) __ksym;
extern struct nf_conn *bpf_ct_insert_entry(struct nf_conn *connection) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *connection, __u32 milliseconds) __ksym;
extern int bpf_ct_change_status(struct nf_conn *connection, __u32 status) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;

/* How long connections are remembered, in milliseconds. */
struct timeouts {
	__u32 established; /* 0: nothing takes the fast path */
	__u32 opening; /* nobody has answered yet */
	__u32 closing; /* an end has said that it is done */
};

/* The verifier wants to see the size of the tuple as a constant. */
#define BY_FAMILY(call, skb, segment, options)                                                                          \
	((segment)->family == AF_INET                                                                                   \
		 ? call(skb, &(segment)->tuple, sizeof((segment)->tuple.ipv4), options, sizeof(*(options)))             \
		 : call(skb, &(segment)->tuple, sizeof((segment)->tuple.ipv6), options, sizeof(*(options))))

static __always_inline struct nf_conn *connection_of(struct __sk_buff *skb, struct segment *segment, bool *is_openers)
{
	struct bpf_ct_opts options = {.netns_id = CURRENT_NETNS, .l4proto = IPPROTO_TCP};
	struct nf_conn *connection = BY_FAMILY(bpf_skb_ct_lookup, skb, segment, &options);
	*is_openers = options.dir == IP_CT_DIR_ORIGINAL;
	return connection;
}

/* False where the table is full, or one of it has the same addresses and ports in either direction. */
static __always_inline bool make_connection(struct __sk_buff *skb, struct segment *segment, __u32 opening_ms)
{
	struct bpf_ct_opts options = {.netns_id = CURRENT_NETNS, .l4proto = IPPROTO_TCP};
	struct nf_conn *connection = BY_FAMILY(bpf_skb_ct_alloc, skb, segment, &options);
	if (!connection)
		return false;
	bpf_ct_set_timeout(connection, opening_ms);
	connection->mark = KNOWN | MADE_HERE;
	connection = bpf_ct_insert_entry(connection);
	if (!connection)
		return false;
	bpf_ct_release(connection);
	return true;
}

static __always_inline __u32 flags_of(const struct nf_conn *connection)
{
	__u32 mark = connection->mark;
	return (mark & ~FLAGS) == KNOWN ? mark & FLAGS : 0;
}

/* True where there was one. */
static __always_inline bool forget_closed(struct __sk_buff *skb, struct segment *segment)
{
	bool is_openers;
	struct nf_conn *connection = connection_of(skb, segment, &is_openers);
	if (!connection)
		return false;
	bool is_closed = (flags_of(connection) & CLOSED) == CLOSED;
	if (is_closed)
		bpf_ct_change_timeout(connection, 0);
	bpf_ct_release(connection);
	if (!is_closed)
		return false;
	/* Whoever looks for one whose time is over takes it out of the table. */
	connection = connection_of(skb, segment, &is_openers);
	if (connection)
		bpf_ct_release(connection);
	return !connection;
}

/* A segment of a connection made here, before connection tracking has seen its opener's acknowledgement. */
static __always_inline bool passes_while_opening(const struct segment *segment, struct nf_conn *connection,
						 bool is_openers, __u32 closing_ms)
{
	unsigned long status = connection->status;
	switch (segment->kind) {
	case SYN_ACK:
		if (is_openers)
			return false;
		if (!(status & IPS_SEEN_REPLY))
			bpf_ct_change_status(connection, status | IPS_SEEN_REPLY);
		return true;
	case RST:
		connection->mark = KNOWN | MADE_HERE | CLOSED;
		bpf_ct_change_timeout(connection, closing_ms);
		return true;
	default:
		return !is_openers && status & IPS_SEEN_REPLY;
	}
}

/* A segment that chain `forward` would accept as established; if so, the connection is kept. */
static __always_inline bool passes_when_established(const struct segment *segment, struct nf_conn *connection,
						    bool is_openers, const struct timeouts *timeouts)
{
	unsigned long status = connection->status;
	__u32 flags = flags_of(connection);
	if ((segment->kind != PLAIN && segment->kind != FIN) || !(status & IPS_SEEN_REPLY))
		return false;
	if (!(status & IPS_ASSURED)) {
		if (!(flags & MADE_HERE))
			return false;
		bpf_ct_change_status(connection, status | IPS_ASSURED);
	}
	if (segment->kind == FIN) {
		flags |= is_openers ? FIN_OF_OPENER : FIN_OF_OTHER;
		connection->mark = KNOWN | flags;
	}
	bpf_ct_change_timeout(connection, flags & CLOSED ? timeouts->closing : timeouts->established);
	return true;
}

static __always_inline bool passes(const struct segment *segment, struct nf_conn *connection, bool is_openers,
				   const struct timeouts *timeouts)
{
	unsigned long status = connection->status;
	if (!(status & IPS_CONFIRMED) || status & UNWANTED)
		return false;
	switch (connection->proto.tcp.state) {
	case TCP_CONNTRACK_NONE:
		return flags_of(connection) & MADE_HERE &&
		       passes_while_opening(segment, connection, is_openers, timeouts->closing);
	case TCP_CONNTRACK_ESTABLISHED:
		return passes_when_established(segment, connection, is_openers, timeouts);
	default:
		return false;
	}
}
