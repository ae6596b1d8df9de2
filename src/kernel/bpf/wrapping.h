// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * What the overlay's device does to a packet, done on the spot: the headers around it are written and taken off here.
 *
 * A packet that the fast path takes to another node is wrapped as the device would wrap it and handed to the node's own
 * link (the uplink); one that comes in there is unwrapped and handed to its pod. In between the device would have the node's
 * netfilter asked about the outer packet, where it leaves and where it comes in. So it is done only while nobody but Heddle
 * has a say there: `rules` is the number of the rules (verdicts.h) at which the agent has found that so, and an IPsec policy,
 * whoever it is for, ends it at once. All else (no such number, another way than the uplink, a packet too large for
 * it) is left to the device, packet by packet: what either sends, either takes.
 *
 * Only over IPv4, where the outer checksum may be absent, as RFC 7348 wants it: IPv6 demands one over the whole packet.
 */

#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/udp.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "segment.h"
#include "verdicts.h"

struct hardware_address {
	__u8 bytes[8]; /* six, then zeros */
};

struct wrapping {
	__u32 uplink; /* index of the link that has the address `local`; 0: nothing is wrapped */
	__u32 rules;
	__be32 local;
	__be32 vni; /* as in the header */
	__be16 port;
	__u16 first_port, ports; /* of which the outer source's is one: as the kernel chooses it */
	__u8 hops;
	__u8 unused;
	struct hardware_address own; /* of the overlay's device */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wrapping);
} wrapping SEC(".maps");

/* The device's forwarding entries: which node has an end point of the overlay. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hardware_address);
	__type(value, __be32);
} remotes SEC(".maps");

struct vxlan {
	__be32 flags;
	__be32 vni;
};

/* All that stands before the inner packet. */
struct outer {
	__u8 unused[2]; /* aligns what follows Ethernet */
	struct ethhdr ethernet;
	struct iphdr ip;
	struct udphdr udp;
	struct vxlan vxlan;
	struct ethhdr inner;
};

#define OUTER_BYTES (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) + sizeof(struct vxlan) + ETH_HLEN)
#define ADDED_BYTES (OUTER_BYTES - ETH_HLEN)
#define VXLAN_HAS_VNI bpf_htonl(0x08000000)
/* BPF_F_ADJ_ROOM_DECAP_L3_IPV4 and …_IPV6 of newer headers. */
#define DECAP_TO_IPV4 (1ULL << 7)
#define DECAP_TO_IPV6 (1ULL << 8)
#define LOOPBACK 1 /* where what the node sends itself comes from */
#define ECN_MASK 3
#define ECN_CONGESTED 3
#define ECN_CAPABLE 2

struct netns_xfrm {
	int policy_count[6]; /* of incoming, outgoing, forwarded packets; sub-policies */
	__u8 policy_default[3];
} OF_KERNEL;
struct net___wrapping {
	struct netns_xfrm xfrm;
} OF_KERNEL;
#define XFRM_USERPOLICY_BLOCK 1

static __always_inline bool has_ipsec(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	struct net___wrapping *net = (void *)packet->dev->nd_net.net;
	if (!bpf_core_field_exists(net->xfrm))
		return false;
	if (net->xfrm.policy_count[0] || net->xfrm.policy_count[1])
		return true;
	return bpf_core_field_exists(net->xfrm.policy_default) &&
	       (net->xfrm.policy_default[0] == XFRM_USERPOLICY_BLOCK ||
		net->xfrm.policy_default[1] == XFRM_USERPOLICY_BLOCK);
}

/* NULL while the overlay's device is to do it. */
static __always_inline const struct wrapping *current_wrapping(struct __sk_buff *skb)
{
	__u32 only = 0;
	const struct wrapping *found = bpf_map_lookup_elem(&wrapping, &only);
	if (!found || !found->uplink || !found->rules || found->rules != rules_number(skb) || has_ipsec(skb))
		return NULL;
	return found;
}

static __always_inline bool is_own(const struct wrapping *set, const __u8 *hardware_address)
{
	for (int i = 0; i < ETH_ALEN; i++)
		if (hardware_address[i] != set->own.bytes[i])
			return false;
	return true;
}

static __always_inline const __be32 *remote_of(const __u8 *hardware_address)
{
	struct hardware_address key = {};
	__builtin_memcpy(key.bytes, hardware_address, ETH_ALEN);
	return bpf_map_lookup_elem(&remotes, &key);
}

/* What an IPv4 header's checksum is to be; 0 of a header that has the right one. */
static __always_inline __u16 header_check(const struct iphdr *ip)
{
	const __u16 *words = (const void *)ip;
	__u32 sum = 0;
	for (__u32 i = 0; i < sizeof(*ip) / sizeof(*words); i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* One for each connection, so that the ways between nodes are all used and none of its packets overtakes another. */
static __always_inline __be16 source_port(struct __sk_buff *skb, const struct wrapping *set)
{
	__u32 hash = bpf_get_hash_recalc(skb);
	hash ^= hash << 16;
	return bpf_htons(set->first_port + (((__u64)hash * set->ports) >> 32));
}

static __always_inline void write_outer(struct __sk_buff *skb, const struct segment *segment, const struct wrapping *set,
					__be32 remote, struct outer *to)
{
	__u16 bytes = ADDED_BYTES + segment->packet_bytes;
	__u8 ecn = segment->tos & ECN_MASK;
	to->ethernet.h_proto = bpf_htons(ETH_P_IP);
	to->ip.version = 4;
	to->ip.ihl = sizeof(to->ip) / 4;
	to->ip.tos = ecn == ECN_CONGESTED ? ECN_CAPABLE : ecn; /* RFC 6040: what is congested inside is known there */
	to->ip.tot_len = bpf_htons(bytes);
	to->ip.id = bpf_get_prandom_u32(); /* the device allows routers to cut packets up, too */
	to->ip.ttl = set->hops;
	to->ip.protocol = IPPROTO_UDP;
	to->ip.saddr = set->local;
	to->ip.daddr = remote;
	to->ip.check = header_check(&to->ip);
	to->udp.source = source_port(skb, set);
	to->udp.dest = set->port;
	to->udp.len = bpf_htons(bytes - sizeof(to->ip));
	to->vxlan.flags = VXLAN_HAS_VNI;
	to->vxlan.vni = set->vni;
	to->inner.h_proto = segment->family == AF_INET ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
}

/* As what the node itself sends is routed: whichever link that leads to. */
static __always_inline bool way_outside(struct __sk_buff *skb, const struct outer *outer, __u32 largest_bytes,
					const struct wrapping *set, struct bpf_redir_neigh *next)
{
	struct bpf_fib_lookup route = {
		.family = AF_INET,
		.l4_protocol = IPPROTO_UDP,
		.sport = outer->udp.source,
		.dport = outer->udp.dest,
		.tot_len = largest_bytes,
		.ifindex = LOOPBACK,
		.ipv4_src = outer->ip.saddr,
		.ipv4_dst = outer->ip.daddr,
	};
	if (bpf_fib_lookup(skb, &route, sizeof(route), BPF_FIB_LOOKUP_SKIP_NEIGH) != BPF_FIB_LKUP_RET_SUCCESS ||
	    route.ifindex != set->uplink || route.family != AF_INET)
		return false;
	next->nh_family = AF_INET;
	next->ipv4_nh = route.ipv4_dst; /* of the gateway, where there is one */
	return true;
}

/* True where it is on its way, as `verdict` says; else the packet is as before, and is left to the overlay's device. */
static __always_inline bool wrap(struct __sk_buff *skb, const struct segment *segment, const __u8 *to, const __u8 *from,
				 int *verdict)
{
	const struct wrapping *set = current_wrapping(skb);
	const __be32 *remote = set ? remote_of(to) : NULL;
	if (!remote || segment->packet_bytes > 0xffff - ADDED_BYTES)
		return false;
	struct outer outer = {};
	struct bpf_redir_neigh next = {};
	write_outer(skb, segment, set, *remote, &outer);
	__builtin_memcpy(outer.inner.h_dest, to, ETH_ALEN);
	__builtin_memcpy(outer.inner.h_source, from, ETH_ALEN);
	if (!way_outside(skb, &outer, largest(skb, segment) + ADDED_BYTES, set, &next))
		return false;
	/* What it is made of, for whoever has to cut a large one into packets. */
	__u64 layers = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) |
		       BPF_F_ADJ_ROOM_ENCAP_L2_ETH;
	if (bpf_skb_adjust_room(skb, ADDED_BYTES, BPF_ADJ_ROOM_MAC, layers | BPF_F_ADJ_ROOM_FIXED_GSO))
		return false;
	bpf_skb_store_bytes(skb, 0, &outer.ethernet, OUTER_BYTES, 0);
	/* The neighbour's address is looked up, and looked after, as for any packet. */
	*verdict = bpf_redirect_neigh(set->uplink, &next, sizeof(next), 0);
	return true;
}

static __always_inline bool is_for_overlay(const struct outer *outer, const struct wrapping *set, __u32 packet_bytes)
{
	const struct iphdr *ip = &outer->ip;
	bool is_fragment = ip->frag_off & bpf_htons(0x3fff);
	if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP || is_fragment || ip->daddr != set->local ||
	    outer->udp.dest != set->port)
		return false;
	/* A checksum outside is left to the kernel, and so is what congestion outside means inside. */
	if (outer->udp.check || (ip->tos & ECN_MASK) == ECN_CONGESTED || header_check(ip))
		return false;
	return bpf_ntohs(ip->tot_len) == packet_bytes && bpf_ntohs(outer->udp.len) == packet_bytes - sizeof(*ip) &&
	       outer->vxlan.flags == VXLAN_HAS_VNI && outer->vxlan.vni == set->vni;
}

/* Reads the segment inside a packet of the overlay that comes from the node that it says it comes from. */
static __always_inline bool read_wrapped(struct __sk_buff *skb, struct segment *to)
{
	const struct wrapping *set = current_wrapping(skb);
	if (!set || set->uplink != skb->ifindex || skb->protocol != bpf_htons(ETH_P_IP))
		return false;
	void *data = headers(skb, OUTER_BYTES);
	if (!data || data + OUTER_BYTES > (void *)(long)skb->data_end)
		return false;
	const struct outer *outer = data - offsetof(struct outer, ethernet);
	if (!is_for_overlay(outer, set, skb->len - ETH_HLEN) || !is_own(set, outer->inner.h_dest))
		return false;
	const __be32 *remote = remote_of(outer->inner.h_source);
	return remote && *remote == outer->ip.saddr && read_segment(skb, ADDED_BYTES, outer->inner.h_proto, to);
}

/* Leaves the headers of the link where they are, before the inner packet. */
static __always_inline bool unwrap(struct __sk_buff *skb, const struct segment *segment)
{
	__u64 inner = segment->family == AF_INET ? DECAP_TO_IPV4 : DECAP_TO_IPV6;
	/* A network card that has seen to checksums has counted the outer one as one of them. */
	bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
	return !bpf_skb_adjust_room(skb, -(__s32)ADDED_BYTES, BPF_ADJ_ROOM_MAC,
				    inner | BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET);
}
