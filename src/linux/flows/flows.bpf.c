/* Counts the TCP sockets of one network namespace by flow, in the kernel: nothing is copied out of a socket, so that a
 * million of them cost one walk. The namespace is that of the thread which opens the iterator. What belongs to which flow is
 * written before a pass, and the counts are read after it, by tcp-iterator.ts: the layout is the same there. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
  slots = 35, /* 0: the rest; 1 to 33: flows; 34: of a listener that is no flow's */
  undeclared = slots - 1,
  ports = 65536,
  max_remotes = 512, /* 32 flows with 16 targets */
  chunk = 8192, /* sockets of one read(2): some milliseconds. Above 1,000,000 it would fail (kernel/bpf/bpf_iter.c) */
};
enum { af_inet6 = 10, tcp_established = 1, tcp_time_wait = 6, tcp_listen = 10 };

/* What is read of the kernel's own structures, found by name when the program is loaded. */
struct in6_addr {
  union {
    __be32 u6_addr32[4];
  } in6_u;
} __attribute__((preserve_access_index));
struct sock_common {
  __be32 skc_daddr;
  __be16 skc_dport;
  __u16 skc_num;
  unsigned short skc_family;
  volatile unsigned char skc_state;
  struct in6_addr skc_v6_daddr;
} __attribute__((preserve_access_index));
struct inet_timewait_sock {
  volatile unsigned char tw_substate;
} __attribute__((preserve_access_index));
struct tcp_timewait_sock {
  struct inet_timewait_sock tw_sk;
} __attribute__((preserve_access_index));
struct seq_file;
struct bpf_iter_meta {
  struct seq_file *seq;
  __u64 seq_num;
} __attribute__((preserve_access_index));
struct bpf_iter__tcp {
  struct bpf_iter_meta *meta;
  struct sock_common *sk_common;
} __attribute__((preserve_access_index));

/* The slot of what has this port; 0: nothing is said of it. */
struct rules {
  __u8 local[ports];
  __u8 remote[ports];
};

/* An IPv4 address is written as ::ffff:a.b.c.d. */
struct remote {
  __be32 address[4];
  __u32 port;
};

struct counts {
  __u64 established[slots];
  __u64 time_wait[slots];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rules);
} flow_rules SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, max_remotes);
  __type(key, struct remote);
  __type(value, __u32);
} flow_remotes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct counts);
} flow_counts SEC(".maps");

static const __u32 only = 0;

static __always_inline __u32 slot_of(struct sock_common *sk, struct rules *rules) {
  __u32 slot = rules->local[sk->skc_num];
  if (slot != 0) return slot;
  struct remote remote = {.port = bpf_ntohs(sk->skc_dport)};
  if (sk->skc_family == af_inet6) {
    remote.address[0] = sk->skc_v6_daddr.in6_u.u6_addr32[0];
    remote.address[1] = sk->skc_v6_daddr.in6_u.u6_addr32[1];
    remote.address[2] = sk->skc_v6_daddr.in6_u.u6_addr32[2];
    remote.address[3] = sk->skc_v6_daddr.in6_u.u6_addr32[3];
  } else {
    remote.address[2] = bpf_htonl(0xffff);
    remote.address[3] = sk->skc_daddr;
  }
  __u32 *listed = bpf_map_lookup_elem(&flow_remotes, &remote);
  return listed != 0 ? *listed : rules->remote[remote.port & (ports - 1)];
}

/* A socket in FIN_WAIT2 is kept in the same small form; for sock_diag(7) it is none of TIME_WAIT, nor is it here. */
static __always_inline bool is_waiting(struct sock_common *sk) {
  struct tcp_timewait_sock *waiting = bpf_skc_to_tcp_timewait_sock(sk);
  return waiting != 0 && waiting->tw_sk.tw_substate == tcp_time_wait;
}

static __always_inline void count(struct sock_common *sk, struct rules *rules) {
  unsigned char state = sk->skc_state;
  /* The kernel tells listeners first, so that whatever has their port later was accepted. */
  if (state == tcp_listen && rules->local[sk->skc_num] == 0) rules->local[sk->skc_num] = undeclared;
  if (state != tcp_established && state != tcp_time_wait) return;
  if (state == tcp_time_wait && !is_waiting(sk)) return;
  struct counts *counts = bpf_map_lookup_elem(&flow_counts, &only);
  __u32 slot = slot_of(sk, rules);
  if (counts == 0 || slot >= slots) return;
  /* One pass at a time, one read(2) at a time: nobody else counts. */
  if (state == tcp_established) counts->established[slot]++;
  else counts->time_wait[slot]++;
}

SEC("iter/tcp") int count_flows(struct bpf_iter__tcp *ctx) {
  struct sock_common *sk = ctx->sk_common;
  struct rules *rules = bpf_map_lookup_elem(&flow_rules, &only);
  if (sk == 0 || rules == 0) return 0;
  count(sk, rules);
  /* The byte ends a read(2) of one byte. */
  if (ctx->meta->seq_num % chunk == chunk - 1) bpf_seq_write(ctx->meta->seq, "", 1);
  return 0;
}

/* bpf_seq_write() and the kernel's own structures are for programs with a licence of its list. This file may be used under
 * BSD-2-Clause or GPL-2.0 as well. */
char licence[] SEC("license") = "Dual BSD/GPL";
