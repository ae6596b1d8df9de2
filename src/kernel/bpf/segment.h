// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * What the fast path reads of a packet, and what a router changes of it.
 *
 * Only TCP is read, without IP options, extension headers or fragments; whatever else there is is nobody's segment, and
 * its packet takes the plain path. Nothing here asks the kernel who may send what.
 */

#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10

/* An IPv4 address is the last of the four, behind ::ffff. */
struct address {
	__be32 word[4];
};

/* Flags that mean nothing together are NO_SEGMENT, and so is a SYN with data (TCP Fast Open). */
enum kind { NO_SEGMENT, PLAIN, FIN, SYN, SYN_ACK, RST };

struct segment {
	struct address source, destination;
	struct bpf_sock_tuple tuple;
	__u32 ip_bytes; /* of its header */
	__u32 header_bytes; /* of IP and TCP */
	__u32 packet_bytes; /* without Ethernet */
	__u8 family;
	__u8 tos;
	__u8 kind;
};

static __always_inline void *headers(struct __sk_buff *skb, __u32 bytes)
{
	if ((void *)(long)skb->data + bytes > (void *)(long)skb->data_end && bpf_skb_pull_data(skb, bytes))
		return NULL;
	if ((void *)(long)skb->data + bytes > (void *)(long)skb->data_end)
		return NULL;
	return (void *)(long)skb->data;
}

static __always_inline enum kind kind_of(const struct tcphdr *tcp, bool has_data)
{
	if (tcp->rst)
		return tcp->syn || tcp->fin ? NO_SEGMENT : RST;
	if (tcp->syn)
		return tcp->fin || has_data ? NO_SEGMENT : tcp->ack ? SYN_ACK : SYN;
	if (!tcp->ack)
		return NO_SEGMENT;
	return tcp->fin ? FIN : PLAIN;
}

static __always_inline bool read_tcp(const struct tcphdr *tcp, struct segment *to)
{
	to->header_bytes = to->ip_bytes + tcp->doff * 4;
	if (tcp->doff < 5 || to->packet_bytes < to->header_bytes)
		return false;
	to->kind = kind_of(tcp, to->packet_bytes > to->header_bytes);
	return to->kind != NO_SEGMENT;
}

static __always_inline bool read_ipv4(struct __sk_buff *skb, __u32 at, struct segment *to)
{
	__u32 bytes = at + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr);
	void *data = headers(skb, bytes);
	if (!data || data + bytes > (void *)(long)skb->data_end)
		return false;
	struct iphdr *ip = data + at + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);
	bool is_fragment = ip->frag_off & bpf_htons(0x3fff);
	if (ip->version != 4 || ip->ihl != 5 || is_fragment || ip->protocol != IPPROTO_TCP || ip->ttl <= 1)
		return false;
	to->source = (struct address){{0, 0, bpf_htonl(0xffff), ip->saddr}};
	to->destination = (struct address){{0, 0, bpf_htonl(0xffff), ip->daddr}};
	to->tuple.ipv4.saddr = ip->saddr;
	to->tuple.ipv4.daddr = ip->daddr;
	to->tuple.ipv4.sport = tcp->source;
	to->tuple.ipv4.dport = tcp->dest;
	to->ip_bytes = sizeof(*ip);
	to->packet_bytes = bpf_ntohs(ip->tot_len);
	to->family = AF_INET;
	to->tos = ip->tos;
	return read_tcp(tcp, to);
}

static __always_inline bool read_ipv6(struct __sk_buff *skb, __u32 at, struct segment *to)
{
	__u32 bytes = at + ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct tcphdr);
	void *data = headers(skb, bytes);
	if (!data || data + bytes > (void *)(long)skb->data_end)
		return false;
	struct ipv6hdr *ip = data + at + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);
	if (ip->version != 6 || ip->nexthdr != IPPROTO_TCP || ip->hop_limit <= 1)
		return false;
	__builtin_memcpy(&to->source, &ip->saddr, sizeof(to->source));
	__builtin_memcpy(&to->destination, &ip->daddr, sizeof(to->destination));
	__builtin_memcpy(to->tuple.ipv6.saddr, &ip->saddr, sizeof(to->source));
	__builtin_memcpy(to->tuple.ipv6.daddr, &ip->daddr, sizeof(to->destination));
	to->tuple.ipv6.sport = tcp->source;
	to->tuple.ipv6.dport = tcp->dest;
	to->ip_bytes = sizeof(*ip);
	to->packet_bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	to->family = AF_INET6;
	to->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	return read_tcp(tcp, to);
}

/* `at`: how many bytes stand before its Ethernet header. */
static __always_inline bool read_segment(struct __sk_buff *skb, __u32 at, __be16 protocol, struct segment *to)
{
	if (skb->pkt_type != 0 /* PACKET_HOST: sent to the link's own MAC address */ || skb->vlan_present)
		return false;
	switch (protocol) {
	case bpf_htons(ETH_P_IP):
		return read_ipv4(skb, at, to);
	case bpf_htons(ETH_P_IPV6):
		return read_ipv6(skb, at, to);
	default:
		return false;
	}
}

static __always_inline bool opens_or_answers(const struct segment *segment)
{
	return segment->kind == SYN || segment->kind == SYN_ACK;
}

/* The largest packet that it will be on a link. */
static __always_inline __u32 largest(struct __sk_buff *skb, const struct segment *segment)
{
	return skb->gso_size ? skb->gso_size + segment->header_bytes : segment->packet_bytes;
}

#define MOST_OPTIONS 10
#define OPTION_END 0
#define OPTION_NOTHING 1
#define OPTION_SEGMENT_SIZE 2
#define TCP_CHECK_OFFSET 16

/* What chain `forward` does at `tcp option maxseg size set rt mtu`: no end is told a size that does not fit the way. */
static __always_inline bool limit_segment_size(struct __sk_buff *skb, const struct segment *segment, __u32 mtu)
{
	struct {
		__u8 kind, bytes;
		__be16 size;
	} option;
	__u32 at = ETH_HLEN + segment->ip_bytes + sizeof(struct tcphdr);
	__u32 end = ETH_HLEN + segment->header_bytes;
	__be16 most = bpf_htons(mtu - segment->ip_bytes - sizeof(struct tcphdr));
	for (int i = 0; i < MOST_OPTIONS && at + sizeof(option) <= end; i++) {
		if (bpf_skb_load_bytes(skb, at, &option, sizeof(option)))
			return false;
		if (option.kind == OPTION_SEGMENT_SIZE) {
			__u32 check = ETH_HLEN + segment->ip_bytes + TCP_CHECK_OFFSET;
			if (bpf_ntohs(option.size) <= bpf_ntohs(most))
				return true;
			return !bpf_l4_csum_replace(skb, check, option.size, most, sizeof(most)) &&
			       !bpf_skb_store_bytes(skb, at + offsetof(typeof(option), size), &most, sizeof(most), 0);
		}
		if (option.kind == OPTION_END)
			return true;
		at += option.kind == OPTION_NOTHING ? 1 : option.bytes < 2 ? sizeof(option) : option.bytes;
	}
	return true;
}

/* One hop further: what a router does to a packet. */
static __always_inline bool forward_headers(struct __sk_buff *skb, const struct segment *segment, const __u8 *to,
					    const __u8 *from)
{
	__u32 bytes = ETH_HLEN + sizeof(struct ipv6hdr);
	void *data = (void *)(long)skb->data;
	if (data + bytes > (void *)(long)skb->data_end)
		return false;
	struct ethhdr *ethernet = data;
	__builtin_memcpy(ethernet->h_dest, to, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, from, ETH_ALEN);
	ethernet->h_proto = segment->family == AF_INET ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	if (segment->family == AF_INET) {
		struct iphdr *ip = data + ETH_HLEN;
		__u32 check = ip->check + bpf_htons(0x0100); /* RFC 1624, for a word that is 0x0100 less */
		ip->check = check + (check >= 0xffff);
		ip->ttl--;
		return true;
	}
	/* No checksum in the header makes up for the change: the sum that a network card took of the packet must follow. */
	struct ipv6hdr *ip = data + ETH_HLEN;
	__u8 hops = ip->hop_limit - 1;
	__u32 offset = ETH_HLEN + offsetof(struct ipv6hdr, hop_limit);
	return bpf_skb_store_bytes(skb, offset, &hops, sizeof(hops), BPF_F_RECOMPUTE_CSUM) == 0;
}
