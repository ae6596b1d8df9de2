// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * The short way for packets of connections that the rules have let through already.
 *
 * Runs where packets enter the node from a pod (ingress of its link) and from another node (ingress of the overlay). A
 * packet is taken past routing and netfilter only where both would do nothing but forward it: a plain TCP segment
 * between two pods, from the pod's own address, of a connection that the kernel tracks as established and untranslated.
 * That is what chain `forward` accepts at `ct state established`; who may open a connection is decided there and nowhere
 * else. Everything else goes on ("next") and takes the plain path: each connection's first and last packets, so that
 * connection tracking sees them come and go, and all packets that are refused, answered or counted.
 *
 * Nothing is kept here: a connection that the agent makes the kernel forget is at once no longer taken, and a pod that is
 * not in `pods` is neither sent for nor delivered to.
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10
#define NEXT -1 /* TCX_NEXT */
#define CURRENT_NETNS -1
#define FROM_CONNTRACK __attribute__((preserve_access_index))

/* enum ip_conntrack_status */
#define IPS_SEEN_REPLY (1 << 1)
#define IPS_ASSURED (1 << 2)
#define IPS_CONFIRMED (1 << 3)
#define IPS_SRC_NAT (1 << 4)
#define IPS_DST_NAT (1 << 5)
#define IPS_SEQ_ADJUST (1 << 6)
#define IPS_DYING (1 << 9)
#define IPS_FIXED_TIMEOUT (1 << 10)
#define IPS_HELPER (1 << 13)
#define WANTED (IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED)
#define UNWANTED (IPS_SRC_NAT | IPS_DST_NAT | IPS_SEQ_ADJUST | IPS_DYING | IPS_FIXED_TIMEOUT | IPS_HELPER)
#define TCP_CONNTRACK_ESTABLISHED 3

struct ip_ct_tcp {
	__u8 state;
} FROM_CONNTRACK;
union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
} FROM_CONNTRACK;
struct nf_conn {
	unsigned long status;
	union nf_conntrack_proto proto;
} FROM_CONNTRACK;

struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts *options, __u32 options_size) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *connection, __u32 milliseconds) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;

/* An IPv4 address is the last of the four, behind ::ffff. */
struct address {
	__be32 word[4];
};

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
	__u32 established_ms; /* how long a silent connection is remembered; 0: nothing takes the short way */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct segment {
	struct address source, destination;
	struct bpf_sock_tuple tuple;
	__u32 header_bytes; /* of IP and TCP */
	__u32 packet_bytes; /* without Ethernet */
	__u8 family;
	__u8 tos;
};

static __always_inline void *headers(struct __sk_buff *skb, __u32 bytes)
{
	if ((void *)(long)skb->data + bytes > (void *)(long)skb->data_end && bpf_skb_pull_data(skb, bytes))
		return NULL;
	if ((void *)(long)skb->data + bytes > (void *)(long)skb->data_end)
		return NULL;
	return (void *)(long)skb->data;
}

/* Whether it opens or ends nothing. */
static __always_inline bool is_plain(const struct tcphdr *tcp)
{
	return tcp->ack && !tcp->syn && !tcp->fin && !tcp->rst && tcp->doff >= 5;
}

static __always_inline bool read_ipv4(struct __sk_buff *skb, struct segment *to)
{
	__u32 bytes = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr);
	void *data = headers(skb, bytes);
	if (!data || data + bytes > (void *)(long)skb->data_end)
		return false;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);
	bool is_fragment = ip->frag_off & bpf_htons(0x3fff);
	if (ip->version != 4 || ip->ihl != 5 || is_fragment || ip->protocol != IPPROTO_TCP || ip->ttl <= 1 || !is_plain(tcp))
		return false;
	to->source = (struct address){{0, 0, bpf_htonl(0xffff), ip->saddr}};
	to->destination = (struct address){{0, 0, bpf_htonl(0xffff), ip->daddr}};
	to->tuple.ipv4.saddr = ip->saddr;
	to->tuple.ipv4.daddr = ip->daddr;
	to->tuple.ipv4.sport = tcp->source;
	to->tuple.ipv4.dport = tcp->dest;
	to->header_bytes = sizeof(*ip) + tcp->doff * 4;
	to->packet_bytes = bpf_ntohs(ip->tot_len);
	to->family = AF_INET;
	to->tos = ip->tos;
	return true;
}

static __always_inline bool read_ipv6(struct __sk_buff *skb, struct segment *to)
{
	__u32 bytes = ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct tcphdr);
	void *data = headers(skb, bytes);
	if (!data || data + bytes > (void *)(long)skb->data_end)
		return false;
	struct ipv6hdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);
	if (ip->version != 6 || ip->nexthdr != IPPROTO_TCP || ip->hop_limit <= 1 || !is_plain(tcp))
		return false;
	__builtin_memcpy(&to->source, &ip->saddr, sizeof(to->source));
	__builtin_memcpy(&to->destination, &ip->daddr, sizeof(to->destination));
	__builtin_memcpy(to->tuple.ipv6.saddr, &ip->saddr, sizeof(to->source));
	__builtin_memcpy(to->tuple.ipv6.daddr, &ip->daddr, sizeof(to->destination));
	to->tuple.ipv6.sport = tcp->source;
	to->tuple.ipv6.dport = tcp->dest;
	to->header_bytes = sizeof(*ip) + tcp->doff * 4;
	to->packet_bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	to->family = AF_INET6;
	to->tos = 0;
	return true;
}

static __always_inline bool read_segment(struct __sk_buff *skb, struct segment *to)
{
	if (skb->pkt_type != 0 /* PACKET_HOST: sent to the link's own MAC address */ || skb->vlan_present)
		return false;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return read_ipv4(skb, to);
	case bpf_htons(ETH_P_IPV6):
		return read_ipv6(skb, to);
	default:
		return false;
	}
}

/* Whether chain `forward` would accept it as established, with nothing to translate; if so, it keeps the connection. */
static __always_inline bool is_established(struct __sk_buff *skb, struct segment *segment, __u32 established_ms)
{
	struct bpf_ct_opts options = {.netns_id = CURRENT_NETNS, .l4proto = IPPROTO_TCP};
	struct nf_conn *connection;
	if (segment->family == AF_INET)
		connection = bpf_skb_ct_lookup(skb, &segment->tuple, sizeof(segment->tuple.ipv4), &options, sizeof(options));
	else
		connection = bpf_skb_ct_lookup(skb, &segment->tuple, sizeof(segment->tuple.ipv6), &options, sizeof(options));
	if (!connection)
		return false;
	unsigned long status = connection->status;
	bool established = (status & WANTED) == WANTED && !(status & UNWANTED) &&
			   connection->proto.tcp.state == TCP_CONNTRACK_ESTABLISHED;
	if (established)
		bpf_ct_change_timeout(connection, established_ms);
	bpf_ct_release(connection);
	return established;
}

/* The largest packet that it will be on a link. */
static __always_inline __u32 largest(struct __sk_buff *skb, const struct segment *segment)
{
	return skb->gso_size ? skb->gso_size + segment->header_bytes : segment->packet_bytes;
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

static __always_inline int deliver(struct __sk_buff *skb, const struct segment *segment, const struct pod *pod)
{
	if (pod->paced || largest(skb, segment) > pod->mtu)
		return NEXT;
	if (!forward_headers(skb, segment, pod->mac, pod->link_mac))
		return NEXT;
	return bpf_redirect_peer(pod->link, 0);
}

/* The kernel's own routes and neighbours say to which node: there is no second table that could be wrong. */
static __always_inline int send_to_node(struct __sk_buff *skb, const struct segment *segment, __u32 overlay)
{
	struct bpf_fib_lookup way = {
		.family = segment->family,
		.l4_protocol = IPPROTO_TCP,
		.tot_len = largest(skb, segment),
		.ifindex = skb->ifindex,
	};
	if (segment->family == AF_INET) {
		way.tos = segment->tos;
		way.ipv4_src = segment->source.word[3];
		way.ipv4_dst = segment->destination.word[3];
	} else {
		__builtin_memcpy(way.ipv6_src, &segment->source, sizeof(segment->source));
		__builtin_memcpy(way.ipv6_dst, &segment->destination, sizeof(segment->destination));
	}
	if (bpf_fib_lookup(skb, &way, sizeof(way), 0) != BPF_FIB_LKUP_RET_SUCCESS || way.ifindex != overlay)
		return NEXT;
	if (!forward_headers(skb, segment, way.dmac, way.smac))
		return NEXT;
	return bpf_redirect(overlay, 0);
}

static __always_inline const struct settings *current_settings(void)
{
	__u32 only = 0;
	const struct settings *found = bpf_map_lookup_elem(&settings, &only);
	return found && found->established_ms ? found : NULL;
}

SEC("tc")
int hd_from_pod(struct __sk_buff *skb)
{
	struct segment segment = {};
	const struct settings *set = current_settings();
	if (!set || !read_segment(skb, &segment))
		return NEXT;
	const struct pod *from = bpf_map_lookup_elem(&pods, &segment.source);
	if (!from || from->link != skb->ifindex)
		return NEXT;
	const struct pod *to = bpf_map_lookup_elem(&pods, &segment.destination);
	if ((!to && !set->overlay) || !is_established(skb, &segment, set->established_ms))
		return NEXT;
	return to ? deliver(skb, &segment, to) : send_to_node(skb, &segment, set->overlay);
}

SEC("tc")
int hd_from_node(struct __sk_buff *skb)
{
	struct segment segment = {};
	const struct settings *set = current_settings();
	if (!set || set->overlay != skb->ifindex || !read_segment(skb, &segment))
		return NEXT;
	const struct pod *to = bpf_map_lookup_elem(&pods, &segment.destination);
	/* A pod of this node does not come from another. */
	if (!to || bpf_map_lookup_elem(&pods, &segment.source))
		return NEXT;
	if (!is_established(skb, &segment, set->established_ms))
		return NEXT;
	return deliver(skb, &segment, to);
}

char licence[] SEC("license") = "Dual BSD/GPL";
