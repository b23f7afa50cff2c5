/* Chooses the source of a pod's TCP connections, so that a program that only calls connect() uses every address and every
 * port of its pod. Runs inside connect(), on the pod's cgroup or at the root of the hierarchy; what has no entry in `pods`
 * is left as it is. Two forms, each for sockets of both families:
 *   spread4, spread6         address and port: walks the tuples of (pod, destination) and takes the next free one.
 *   addresses4, addresses6   the address alone, in turn; the kernel picks the port. For kernels without bpf_loop (5.17). */
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "spread-maps.bpf.h"

enum {
  claim_shift = 24, /* 2^24 ns: 17 ms; and 33 × 65,535 tuples are fewer than 2^24 */
  most_tries = 65536, /* a whole range: some 10 ms, as long as the kernel's own search through a full one */
  tries_when_full = 64,
  full_for_ns = 50 * 1000 * 1000,
};
enum { af_inet = 2, af_inet6 = 10, sol_socket = 1, so_reuseaddr = 2, tcp_fin_wait2 = 5, eaddrinuse = 98 };

/* What is read of the kernel's own structures, found by name when the program is loaded. */
struct inet_timewait_sock {
  unsigned char tw_substate;
  __u32 tw_entry_stamp; /* from 6.14 */
} __attribute__((preserve_access_index));
struct tcp_timewait_sock {
  struct inet_timewait_sock tw_sk;
  int tw_ts_recent_stamp;
} __attribute__((preserve_access_index));

struct walk {
  struct bpf_sock_addr *ctx;
  struct pod *pod;
  struct destination *destination;
  struct port_set *reserved;
  struct target target;
  struct sources *sources; /* 0: the loopback address alone */
  __u32 addresses, tuples, reuse_ms;
  bool is_ipv4, is_socket_ipv4;
  bool found;
  __u32 tries, unbound;
};

static const __u32 mapped_prefix = bpf_htonl(0xffff);

static __always_inline bool is_mapped(const struct address *address) {
  return address->words[0] == 0 && address->words[1] == 0 && address->words[2] == mapped_prefix;
}

static __always_inline bool is_loopback(const struct address *address) {
  if (is_mapped(address)) return (address->words[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
  return (address->words[0] | address->words[1] | address->words[2]) == 0 && address->words[3] == bpf_htonl(1);
}

/* Nobody's address, which the kernel reads as its own; and link-local ones, where answers go to one address of the link. */
static __always_inline bool is_left_alone(const struct address *address) {
  if (is_mapped(address))
    return address->words[3] == 0 || (address->words[3] & bpf_htonl(0xffff0000)) == bpf_htonl(0xa9fe0000);
  if ((address->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000)) return true;
  return (address->words[0] | address->words[1] | address->words[2] | address->words[3]) == 0;
}

static __always_inline bool source_at(const struct walk *walk, __u64 at, struct address *source) {
  if (walk->sources != 0) {
    if (at >= max_addresses) return false;
    *source = walk->sources->addresses[at];
    return true;
  }
  *source = (struct address){{0, 0, walk->is_ipv4 ? mapped_prefix : 0, bpf_htonl(walk->is_ipv4 ? 0x7f000001 : 1)}};
  return true;
}

/* `port` 0: the kernel chooses it when it connects, for this destination alone. */
static __always_inline long bind_to(const struct walk *walk, const struct address *source, __u32 port) {
  if (walk->is_socket_ipv4) {
    struct sockaddr_in own = {.sin_family = af_inet, .sin_port = bpf_htons(port)};
    own.sin_addr.s_addr = source->words[3];
    return bpf_bind(walk->ctx, (struct sockaddr *)&own, sizeof own);
  }
  struct {
    __u16 family, port;
    __u32 flow;
    struct address address;
    __u32 scope;
  } own = {.family = af_inet6, .port = bpf_htons(port), .address = *source};
  return bpf_bind(walk->ctx, (struct sockaddr *)&own, sizeof own);
}

/* As tcp_twsk_unique() would let the kernel's own choice: timestamps were in use, and the delay is over. */
static __always_inline bool is_reusable(struct bpf_sock *socket, __u32 delay_ms) {
  struct tcp_timewait_sock *waiting = bpf_skc_to_tcp_timewait_sock(socket);
  if (waiting == 0 || waiting->tw_ts_recent_stamp == 0 || waiting->tw_sk.tw_substate == tcp_fin_wait2) return false;
  __u64 now_ns = bpf_ktime_get_ns();
  if (!bpf_core_field_exists(waiting->tw_sk.tw_entry_stamp))
    return (__s32)((__u32)(now_ns / 1000000000) - (__u32)waiting->tw_ts_recent_stamp) > 0;
  return (__s32)((__u32)(now_ns / 1000000) - waiting->tw_sk.tw_entry_stamp - delay_ms) > 0;
}

/* Nobody has the tuple and nobody listens on its port. TIME_WAIT is seen here; bpf_sk_lookup_tcp would not see it. */
static __always_inline bool is_free(const struct walk *walk, const struct address *source, __u32 port) {
  struct bpf_sock_tuple tuple = {};
  struct bpf_sock *socket;
  if (walk->is_ipv4) {
    tuple.ipv4.saddr = walk->target.address.words[3];
    tuple.ipv4.sport = (__u16)walk->target.port;
    tuple.ipv4.daddr = source->words[3];
    tuple.ipv4.dport = bpf_htons(port);
    socket = bpf_skc_lookup_tcp(walk->ctx, &tuple, sizeof tuple.ipv4, BPF_F_CURRENT_NETNS, 0);
  } else {
    __builtin_memcpy(tuple.ipv6.saddr, &walk->target.address, sizeof tuple.ipv6.saddr);
    tuple.ipv6.sport = (__u16)walk->target.port;
    __builtin_memcpy(tuple.ipv6.daddr, source, sizeof tuple.ipv6.daddr);
    tuple.ipv6.dport = bpf_htons(port);
    socket = bpf_skc_lookup_tcp(walk->ctx, &tuple, sizeof tuple.ipv6, BPF_F_CURRENT_NETNS, 0);
  }
  if (socket == 0) return true;
  bool is_waiting = walk->reuse_ms != 0 && socket->state == BPF_TCP_TIME_WAIT;
  bool reusable = is_waiting && is_reusable(socket, walk->reuse_ms);
  bpf_sk_release(socket);
  return reusable;
}

/* Between the look-up and the end of connect() a tuple looks free. Another connect() that laps the walk in this time must
 * not take it too: the loser would fail with EADDRNOTAVAIL. */
static __always_inline bool claim(struct destination *destination, __u64 tuple) {
  __u64 now = bpf_ktime_get_ns() >> claim_shift;
  __u64 *slot = &destination->claims[tuple % claim_slots];
  __u64 before = __sync_lock_test_and_set(slot, now << claim_shift | tuple);
  return (before & ((1 << claim_shift) - 1)) != tuple || now - (before >> claim_shift) > 1;
}

static long try_next(__u32 turn, struct walk *walk) {
  __u64 next = __sync_fetch_and_add(&walk->destination->next, 1);
  __u32 addresses = walk->addresses, tuples = walk->tuples;
  if (addresses == 0 || tuples == 0) return 1;
  __u64 tuple = next % tuples;
  __u64 port = (walk->pod->low + tuple / addresses) & 0xffff;
  struct address source;
  walk->tries = turn + 1;
  if (!source_at(walk, tuple % addresses, &source)) return 1;
  if (walk->reserved != 0 && (walk->reserved->bits[port / 8] & (1 << port % 8)) != 0) return 0;
  if (!is_free(walk, &source, port) || !claim(walk->destination, tuple)) return 0;
  int yes = 1;
  /* Without it a port serves one destination only. It stays set: whoever binds the port later looks at it again. */
  if (bpf_setsockopt(walk->ctx, sol_socket, so_reuseaddr, &yes, sizeof yes) != 0) return 1;
  long error = bind_to(walk, &source, port);
  walk->found = error == 0;
  if (error != 0 && error != -eaddrinuse) walk->unbound++;
  /* An address that is not there fails every time. */
  return walk->found || walk->unbound > addresses;
}

/* After a lap that found nothing a few tries each, for a while: the kernel's own choice has the rest. */
static __always_inline __u32 tries_for(struct destination *destination, __u32 tuples) {
  __u32 most = tuples < most_tries ? tuples : most_tries;
  if (destination->misses < tuples) return most;
  if (bpf_ktime_get_ns() - destination->full_since_ns < full_for_ns) return most < tries_when_full ? most : tries_when_full;
  destination->misses = 0;
  return most;
}

static __always_inline bool choose_tuple(struct walk *walk) {
  struct destination *destination = walk->destination;
  bpf_loop(tries_for(destination, walk->tuples), try_next, walk, 0);
  if (walk->found) {
    destination->misses = 0;
    return true;
  }
  /* Only once: whoever tries again and again must not put off the next whole lap. */
  bool was_full = destination->misses >= walk->tuples;
  destination->misses += walk->tries;
  if (!was_full && destination->misses >= walk->tuples) destination->full_since_ns = bpf_ktime_get_ns();
  return false;
}

static __always_inline void choose_address(struct walk *walk) {
  struct address source;
  if (walk->sources == 0 || walk->addresses < 2) return;
  __u64 next = __sync_fetch_and_add(&walk->destination->next_address, 1);
  if (source_at(walk, next % walk->addresses, &source)) bind_to(walk, &source, 0);
}

static __always_inline struct destination *destination_for(const struct target *target) {
  struct destination *known = bpf_map_lookup_elem(&destinations, target);
  if (known != 0) return known;
  /* Anywhere in the walk, so that ports are no easier to guess than the kernel's own (RFC 6056). */
  struct destination fresh = {.next = bpf_get_prandom_u32()};
  bpf_map_update_elem(&destinations, target, &fresh, BPF_NOEXIST);
  return bpf_map_lookup_elem(&destinations, target);
}

static __always_inline bool prepare(struct walk *walk) {
  const struct address *address = &walk->target.address;
  struct pod *pod = walk->pod;
  walk->is_ipv4 = is_mapped(address);
  bool inside = is_loopback(address);
  walk->sources = inside ? 0 : walk->is_ipv4 ? &pod->v4 : &pod->v6;
  walk->addresses = inside ? 1 : walk->is_ipv4 ? pod->v4.count : pod->v6.count;
  walk->reuse_ms = inside ? pod->loopback_reuse_ms : pod->reuse_ms;
  walk->tuples = walk->addresses * pod->ports;
  if (walk->addresses == 0 || is_left_alone(address)) return false;
  walk->destination = destination_for(&walk->target);
  return walk->destination != 0;
}

static __always_inline void count(const struct walk *walk) {
  struct statistics *statistics = bpf_map_lookup_elem(&pod_statistics, &walk->target.netns_cookie);
  if (statistics == 0) return;
  if (walk->found) statistics->picked++;
  else statistics->fell_back++;
  statistics->tries += walk->tries;
}

static __always_inline void choose(struct walk *walk, bool may_choose_ports) {
  if (!prepare(walk)) return;
  bool walks = may_choose_ports && (walk->pod->flags & chooses_ports) != 0 && walk->tuples != 0;
  if (walks && (walk->pod->flags & has_reserved_ports) != 0)
    walk->reserved = bpf_map_lookup_elem(&reserved_ports, &walk->target.netns_cookie);
  if (!walks || !choose_tuple(walk)) choose_address(walk);
  count(walk);
}

/* A socket that has an address, a port or a device of its own chose for itself. */
static __always_inline bool starts_walk(struct walk *walk, struct bpf_sock_addr *ctx) {
  if (ctx->protocol != IPPROTO_TCP) return false;
  walk->target.netns_cookie = bpf_get_netns_cookie(ctx);
  walk->pod = bpf_map_lookup_elem(&pods, &walk->target.netns_cookie);
  if (walk->pod == 0) return false;
  struct bpf_sock *socket = ctx->sk;
  walk->ctx = ctx;
  walk->target.port = ctx->user_port;
  return socket != 0 && socket->src_port == 0 && socket->bound_dev_if == 0;
}

static __always_inline int connect4(struct bpf_sock_addr *ctx, bool may_choose_ports) {
  struct walk walk = {.is_socket_ipv4 = true};
  if (!starts_walk(&walk, ctx) || ctx->sk == 0 || ctx->sk->src_ip4 != 0) return 1;
  walk.target.address = (struct address){{0, 0, mapped_prefix, ctx->user_ip4}};
  choose(&walk, may_choose_ports);
  return 1;
}

static __always_inline int connect6(struct bpf_sock_addr *ctx, bool may_choose_ports) {
  struct walk walk = {};
  if (!starts_walk(&walk, ctx)) return 1;
  struct bpf_sock *socket = ctx->sk;
  if (socket == 0 || (socket->src_ip6[0] | socket->src_ip6[1] | socket->src_ip6[2] | socket->src_ip6[3]) != 0) return 1;
  walk.target.address = (struct address){{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};
  choose(&walk, may_choose_ports);
  return 1;
}

SEC("cgroup/connect4") int spread4(struct bpf_sock_addr *ctx) { return connect4(ctx, true); }
SEC("cgroup/connect6") int spread6(struct bpf_sock_addr *ctx) { return connect6(ctx, true); }
SEC("cgroup/connect4") int addresses4(struct bpf_sock_addr *ctx) { return connect4(ctx, false); }
SEC("cgroup/connect6") int addresses6(struct bpf_sock_addr *ctx) { return connect6(ctx, false); }

/* The kernel lets only programs with a licence of its list read struct tcp_timewait_sock. This file and spread-maps.bpf.h may
 * be used under BSD-2-Clause or GPL-2.0 as well. */
char licence[] SEC("license") = "Dual BSD/GPL";
