/* What the programs of spread.bpf.c share with pod-entry.ts: a change here is another layoutVersion there. Integers are the
 * machine's; addresses, and the port of a destination, are the network's. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum {
  max_addresses = 33, /* the primary one and 32 more */
  max_pods = 1024,
  max_destinations = 16384, /* 3 MB; the ones used last are kept, another one starts anywhere in its walk */
  claim_slots = 8,
};
enum { chooses_ports = 1, has_reserved_ports = 2 }; /* flags of a pod */

/* IPv4 addresses are written as ::ffff:a.b.c.d. */
struct address {
  __u32 words[4];
};

struct sources {
  __u32 count;
  struct address addresses[max_addresses];
};

struct pod {
  __u32 flags;
  __u32 low; /* the walk's own ports: low … low + ports - 1; those above are kept for the kernel's own choice */
  __u32 ports;
  __u32 reuse_ms; /* for how long TIME_WAIT is respected; 0: to its end. As the kernel does by tcp_tw_reuse */
  __u32 loopback_reuse_ms;
  struct sources v4, v6;
};

struct port_set {
  __u8 bits[65536 / 8];
};

struct target {
  __u64 netns_cookie;
  struct address address;
  __u32 port;
  __u32 unused;
};

struct destination {
  __u64 next; /* of the walk: tuple = next mod (addresses × ports), addresses first */
  __u64 next_address;
  __u64 misses; /* tries in a row that found nothing */
  __u64 full_since_ns;
  __u64 claims[claim_slots];
};

struct statistics {
  __u64 picked, fell_back, tries;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, max_pods);
  __type(key, __u64);
  __type(value, struct pod);
} pods SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, max_pods);
  __type(key, __u64);
  __type(value, struct port_set);
} reserved_ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, max_pods);
  __type(key, __u64);
  __type(value, struct statistics);
} pod_statistics SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, max_destinations);
  __type(key, struct target);
  __type(value, struct destination);
} destinations SEC(".maps");
