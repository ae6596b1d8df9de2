// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The short way for packets of connections between pods that the rules let through.
 *
 * Runs where packets enter the node from a pod (ingress of its link) and from another node (ingress of the overlay). A
 * packet is taken past routing and netfilter only where both would do nothing but forward it: a TCP segment between two
 * pods, from the pod's own address, of a connection that the kernel tracks as established and untranslated, which chain
 * `forward` accepts at `ct state established` (connections.h); or the first of one of which chain `forward` has said
 * that it may be opened (verdicts.h). Who may open a connection is decided there and nowhere else. Everything else goes on
 * ("next") and takes the plain path, where packets are refused, answered, translated and counted.
 *
 * What is kept here is who is behind which link, and what the rules in force have said: a connection that the agent makes
 * the kernel forget is at once no longer taken, a change of rules makes all be asked again, and a pod that is not in
 * `pods` is neither sent for nor delivered to.
 */

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include "connections.h"
#include "segment.h"
#include "verdicts.h"
#include "wrapping.h"

#define NEXT -1 /* TCX_NEXT */
#define DROP 2 /* TCX_DROP */

struct pod {
	__u32 link; /* index of the node's end of its link */
	__u16 mtu;
	__u8 paced; /* a queue of the node's end holds back what is sent to the pod: do not pass it by */
	__u8 unused;
	__u8 mac[ETH_ALEN];
	__u8 link_mac[ETH_ALEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct pod);
} pods SEC(".maps");

struct settings {
	__u32 overlay; /* index of the overlay's link; 0 where there is none */
	struct timeouts timeouts;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct way {
	const struct pod *to; /* of this node; NULL: over the overlay */
	__u32 mtu;
	__u8 mac[ETH_ALEN];
	__u8 link_mac[ETH_ALEN];
};

static __always_inline bool way_to_pod(struct __sk_buff *skb, const struct segment *segment, const struct pod *pod,
				       struct way *way)
{
	if (pod->paced || largest(skb, segment) > pod->mtu)
		return false;
	way->to = pod;
	way->mtu = pod->mtu;
	__builtin_memcpy(way->mac, pod->mac, ETH_ALEN);
	__builtin_memcpy(way->link_mac, pod->link_mac, ETH_ALEN);
	return true;
}

/* The kernel's own routes and neighbours say to which node: there is no second table that could be wrong. */
static __always_inline bool way_to_node(struct __sk_buff *skb, const struct segment *segment, __u32 overlay,
					struct way *way)
{
	struct bpf_fib_lookup route = {
		.family = segment->family,
		.l4_protocol = IPPROTO_TCP,
		.tot_len = largest(skb, segment),
		.ifindex = skb->ifindex,
	};
	if (segment->family == AF_INET) {
		route.tos = segment->tos;
		route.ipv4_src = segment->source.word[3];
		route.ipv4_dst = segment->destination.word[3];
	} else {
		__builtin_memcpy(route.ipv6_src, &segment->source, sizeof(segment->source));
		__builtin_memcpy(route.ipv6_dst, &segment->destination, sizeof(segment->destination));
	}
	if (!overlay || bpf_fib_lookup(skb, &route, sizeof(route), 0) != BPF_FIB_LKUP_RET_SUCCESS || route.ifindex != overlay)
		return false;
	way->mtu = route.mtu_result;
	__builtin_memcpy(way->mac, route.dmac, ETH_ALEN);
	__builtin_memcpy(way->link_mac, route.smac, ETH_ALEN);
	return true;
}

static __always_inline bool may_open(struct __sk_buff *skb, struct segment *segment, __u32 opening_ms)
{
	bool may = is_allowed(skb, segment);
	if (may && make_connection(skb, segment, opening_ms))
		return true;
	return forget_closed(skb, segment) && may && make_connection(skb, segment, opening_ms);
}

static __always_inline bool may_pass(struct __sk_buff *skb, struct segment *segment, const struct timeouts *timeouts)
{
	bool is_openers;
	if (segment->kind == SYN)
		return may_open(skb, segment, timeouts->opening);
	struct nf_conn *connection = connection_of(skb, segment, &is_openers);
	if (!connection)
		return false;
	__u32 mark = connection->mark;
	bool may = passes(segment, connection, is_openers, timeouts);
	if (may && is_openers && mark & STAMPED)
		learn_from(skb, segment, connection, mark);
	bpf_ct_release(connection);
	return may;
}

/* As far as the link: `mtu` is that of the link that it came by. */
static __always_inline int take(struct __sk_buff *skb, const struct segment *segment, const struct way *way, __u32 mtu,
				__u32 overlay)
{
	if (opens_or_answers(segment) && !limit_segment_size(skb, segment, mtu < way->mtu ? mtu : way->mtu))
		return NEXT;
	if (!forward_headers(skb, segment, way->mac, way->link_mac))
		return NEXT;
	if (way->to)
		return bpf_redirect_peer(way->to->link, 0);
	int verdict;
	return wrap(skb, segment, way->mac, way->link_mac, &verdict) ? verdict : bpf_redirect(overlay, 0);
}

/* From another node, to a pod of this one. */
static __always_inline bool may_come_in(struct __sk_buff *skb, struct segment *segment, const struct timeouts *timeouts,
					struct way *way)
{
	const struct pod *to = bpf_map_lookup_elem(&pods, &segment->destination);
	/* A pod of this node does not come from another. */
	if (!to || bpf_map_lookup_elem(&pods, &segment->source))
		return false;
	return way_to_pod(skb, segment, to, way) && may_pass(skb, segment, timeouts);
}

static __always_inline const struct settings *current_settings(void)
{
	__u32 only = 0;
	const struct settings *found = bpf_map_lookup_elem(&settings, &only);
	return found && found->timeouts.established ? found : NULL;
}

SEC("tc")
int hd_from_pod(struct __sk_buff *skb)
{
	struct segment segment = {};
	struct way way = {};
	const struct settings *set = current_settings();
	if (!set || !read_segment(skb, 0, skb->protocol, &segment))
		return NEXT;
	const struct pod *from = bpf_map_lookup_elem(&pods, &segment.source);
	if (!from || from->link != skb->ifindex)
		return NEXT;
	const struct pod *to = bpf_map_lookup_elem(&pods, &segment.destination);
	if (to ? !way_to_pod(skb, &segment, to, &way) : !way_to_node(skb, &segment, set->overlay, &way))
		return NEXT;
	/* The answer to a SYN that was taken must come back the same way. */
	if ((segment.kind == SYN && from->paced) || !may_pass(skb, &segment, &set->timeouts))
		return NEXT;
	return take(skb, &segment, &way, from->mtu, set->overlay);
}

SEC("tc")
int hd_from_node(struct __sk_buff *skb)
{
	struct segment segment = {};
	struct way way = {};
	const struct settings *set = current_settings();
	if (!set || set->overlay != skb->ifindex || !read_segment(skb, 0, skb->protocol, &segment))
		return NEXT;
	if (!may_come_in(skb, &segment, &set->timeouts, &way))
		return NEXT;
	/* The node that it comes from has limited what its way takes, there and back. */
	return take(skb, &segment, &way, way.mtu, set->overlay);
}

SEC("tc")
int hd_from_uplink(struct __sk_buff *skb)
{
	struct segment segment = {};
	struct way way = {};
	const struct settings *set = current_settings();
	if (!set || !read_wrapped(skb, &segment) || !may_come_in(skb, &segment, &set->timeouts, &way))
		return NEXT;
	if (!unwrap(skb, &segment))
		return NEXT;
	int verdict = take(skb, &segment, &way, way.mtu, set->overlay);
	/* Never on: without its outer headers it would pass for something that came here unwrapped. */
	return verdict == NEXT ? DROP : verdict;
}

char licence[] SEC("license") = "Dual BSD/GPL";
