/*
 * What the loader's tests load: counts packets of a link, connections of a cgroup, and messages of sockets.
 */

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define TCX_NEXT -1
#define TCX_DROP 2

const volatile __u32 step = 1;
const volatile __u32 drops = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

static void count(__u32 key)
{
	__u64 *seen = bpf_map_lookup_elem(&counts, &key);
	__u64 first = step;
	if (seen)
		__sync_fetch_and_add(seen, step);
	else
		bpf_map_update_elem(&counts, &key, &first, BPF_ANY);
}

SEC("tc")
int count_packets(struct __sk_buff *skb)
{
	count(skb->ifindex);
	return drops ? TCX_DROP : TCX_NEXT;
}

SEC("sockops")
int count_connections(struct bpf_sock_ops *operation)
{
	if (operation->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		count(1000);
	return 1;
}

SEC("sk_msg")
int count_messages(struct sk_msg_md *message)
{
	(void)message;
	count(1001);
	return SK_PASS;
}

char licence[] SEC("license") = "Dual BSD/GPL";
