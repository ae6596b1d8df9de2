// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Who may open a connection: what nftables has said, for as long as it would say it again.
 *
 * Our chain `forward` decides about a SYN by the link that it comes from, its addresses, protocol and destination's port, and
 * by nothing else. While others' rules on its way may ask for more (a rate, the time, a set that packets fill), the agent
 * has no connection stamped with a number that counts (kernel/steady-rules.ts). So what they all let through once they
 * would let through again while the rules are the same. The kernel numbers
 * its sets of rules: every transaction, whoever commits it, makes the next number of all tables of the namespace. The
 * last rule that a new connection meets writes the number of its own transaction on it (chain `stamp`). A verdict is
 * remembered when the opener's first packet on the fast path finds an established, untranslated connection whose stamp is
 * the present number, and counts while that number stays: it was judged by the rules that are in force now, all of them.
 *
 * A connection that outlives its rules has an older stamp and teaches nothing; nor can it get a newer one, since only what is
 * not in the table yet is stamped. One that another announced (a helper's) teaches nothing either: it was expected, and the
 * next like it is not. What has no such number, legacy iptables and programs in netfilter's hooks, is counted: where one
 * comes or goes, all verdicts end, too. There is no message from the agent to wait for, and none to lose: a commit ends all
 * verdicts at once (docs/adr/0012).
 */

#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "connections.h"

#define NF_INET_PRE_ROUTING 0
#define NF_INET_FORWARD 2
#define NF_INET_POST_ROUTING 4
#define NF_INET_NUMHOOKS 5

struct nf_hook_entries {
	__u16 num_hook_entries;
} OF_KERNEL;
struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[NF_INET_NUMHOOKS];
	struct nf_hook_entries *hooks_ipv6[NF_INET_NUMHOOKS];
} OF_KERNEL;
struct netns_nftables {
	unsigned int base_seq;
} OF_KERNEL;
struct net {
	struct netns_nf nf;
	struct netns_nftables nft;
} OF_KERNEL;
typedef struct {
	struct net *net;
} OF_KERNEL possible_net_t;
struct net_device {
	possible_net_t nd_net;
} OF_KERNEL;
struct sk_buff {
	struct net_device *dev;
} OF_KERNEL;

extern void *bpf_cast_to_kern_ctx(void *context) __ksym;

struct opening {
	struct address source, destination;
	__u32 link;
	__be16 port;
	__u16 unused;
};

/* What is in force: it counts only while both stay. */
struct rules {
	__u32 number;
	__u32 hooks; /* how many have themselves asked about what is forwarded, whose rules may have no number */
};

/* The one that was used least lately makes room. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct opening);
	__type(value, struct rules);
} allowed SEC(".maps");

#define HOOKS_AT(net, family, hook) ((net)->nf.family[hook] ? (net)->nf.family[hook]->num_hook_entries : 0)
#define HOOKS(net, family)                                                                                              \
	(HOOKS_AT(net, family, NF_INET_PRE_ROUTING) + HOOKS_AT(net, family, NF_INET_FORWARD) +                          \
	 HOOKS_AT(net, family, NF_INET_POST_ROUTING))

/* 0, which no rules have, where the kernel keeps it elsewhere, as older ones do: then no verdict is remembered. */
static __always_inline __u32 rules_number(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	if (!bpf_core_field_exists(((struct netns_nftables *)0)->base_seq))
		return 0;
	return packet->dev->nd_net.net->nft.base_seq;
}

static __always_inline struct rules rules_in_force(struct __sk_buff *skb, const struct segment *segment)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	struct net *net = packet->dev->nd_net.net;
	struct rules rules = {.number = rules_number(skb)};
	if (segment->family == AF_INET)
		rules.hooks = HOOKS(net, hooks_ipv4);
	else
		rules.hooks = HOOKS(net, hooks_ipv6);
	return rules;
}

static __always_inline struct opening opening_of(struct __sk_buff *skb, const struct segment *segment)
{
	return (struct opening){
		.source = segment->source,
		.destination = segment->destination,
		.link = skb->ifindex,
		.port = segment->family == AF_INET ? segment->tuple.ipv4.dport : segment->tuple.ipv6.dport,
	};
}

static __always_inline bool is_allowed(struct __sk_buff *skb, const struct segment *segment)
{
	struct opening opening = opening_of(skb, segment);
	struct rules *then = bpf_map_lookup_elem(&allowed, &opening);
	if (!then)
		return false;
	struct rules now = rules_in_force(skb, segment);
	return now.number && then->number == now.number && then->hooks == now.hooks;
}

/* Once for each connection that the plain path made. */
static __always_inline void learn_from(struct __sk_buff *skb, const struct segment *segment, struct nf_conn *connection,
				       __u32 mark)
{
	struct rules now = rules_in_force(skb, segment);
	if (now.number && mark == (now.number | STAMPED) && !(connection->status & IPS_EXPECTED)) {
		struct opening opening = opening_of(skb, segment);
		bpf_map_update_elem(&allowed, &opening, &now, BPF_ANY);
	}
	if (connection->mark & STAMPED) /* else it has ended with this very packet */
		connection->mark = KNOWN;
}
