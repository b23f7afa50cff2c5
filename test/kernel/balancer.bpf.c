/* Stands for a socket load balancer: a program of somebody else at connect(). It lets everything pass. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("cgroup/connect4") int balance(struct bpf_sock_addr *ctx) { return 1; }
char licence[] SEC("license") = "GPL";
