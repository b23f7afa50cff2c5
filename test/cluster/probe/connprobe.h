/* What the parts of connprobe share: a program that holds TCP connections and says how many, and what stopped it. */
#ifndef CONNPROBE_H
#define CONNPROBE_H

#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_PROCESSES = 128, MAX_TARGETS = 4096, EVENTS_PER_WAIT = 512 };

/* One process's figures, in memory that all processes share. Each is written by its own process only. */
struct worker {
  pid_t pid;
  long held;            /* connections open now */
  long opened;          /* ever */
  long closed;          /* by the peer, or reset */
  long failed;          /* attempts that did not become a connection */
  int last_errno;       /* of the last failure; 0: none yet */
  bool limit_reached;   /* ever met EMFILE, ENFILE or EADDRNOTAVAIL */
  bool active;          /* accepting, or opening more */
  int own_descriptors;  /* open before the first connection */
};

struct program {
  const char *mode;     /* "listen", "connect" or "open" */
  int processes;
  int backlog;          /* listen */
  uint16_t port;        /* listen */
  int listener;         /* listen: shared by all processes; -1: each makes its own with SO_REUSEPORT */
  struct sockaddr_in targets[MAX_TARGETS]; /* connect: taken in turn */
  int target_count;
  long count;           /* connect: connections to hold, over all processes */
  long rate;            /* connect: attempts a second over all processes; 0: as fast as possible */
  struct worker *workers;
};

int open_listener(uint16_t port, int backlog, bool reuse_port);
_Noreturn void run_listen_worker(const struct program *program, struct worker *self);
_Noreturn void run_connect_worker(const struct program *program, struct worker *self, long share, long rate);
_Noreturn void run_open_worker(struct worker *self);
_Noreturn void serve_reports(const struct program *program, int control);

bool is_limit(int error);
int count_own_descriptors(void);
double now_seconds(void);
_Noreturn void die(const char *what);

#endif
