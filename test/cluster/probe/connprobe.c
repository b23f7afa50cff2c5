/*
 * connprobe listen PORT PROCESSES [BACKLOG]
 * connprobe connect ADDRESS[,ADDRESS...] PORT[,PORT...] COUNT PROCESSES [RATE]
 * connprobe open PROCESSES
 *
 * A test workload: holds TCP connections in PROCESSES processes, within the RLIMIT_NOFILE that it was given (it never
 * raises its soft limit), and reports on CONTROL_PORT (environment, default 8081) over HTTP:
 *   GET /        JSON: what is held, what stopped it, limits of each process, the namespace's sysctls
 *   GET /readyz  200 when all processes run;  GET /heldz  200 when COUNT are held (connect)
 * REUSEPORT=1 gives each listening process a socket and an accept queue of its own.
 */
#include "connprobe.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Noreturn void die(const char *what) {
  fprintf(stderr, "connprobe: %s: %s\n", what, errno ? strerror(errno) : "bad usage, see connprobe.c");
  exit(1);
}

bool is_limit(int error) { return error == EMFILE || error == ENFILE || error == EADDRNOTAVAIL; }

double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int count_own_descriptors(void) {
  DIR *dir = opendir("/proc/self/fd");
  if (!dir) return -1;
  int entries = 0;
  while (readdir(dir)) entries++;
  closedir(dir);
  return entries - 3; /* ".", ".." and the descriptor of the directory itself */
}

int open_listener(uint16_t port, int backlog, bool reuse_port) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (reuse_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0) die("bind");
  if (listen(fd, backlog) < 0) die("listen");
  return fd;
}

static long number(const char *text, long least, long most) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (*text == 0 || *end != 0 || value < least || value > most) die(text);
  return value;
}

static void parse_targets(struct program *program, const char *addresses, const char *ports) {
  char *address_list = strdup(addresses), *address_rest;
  for (char *address = strtok_r(address_list, ",", &address_rest); address; address = strtok_r(NULL, ",", &address_rest)) {
    char *port_list = strdup(ports), *port_rest;
    for (char *port = strtok_r(port_list, ",", &port_rest); port; port = strtok_r(NULL, ",", &port_rest)) {
      if (program->target_count == MAX_TARGETS) die("too many targets");
      struct sockaddr_in *target = &program->targets[program->target_count++];
      target->sin_family = AF_INET;
      target->sin_port = htons((uint16_t)number(port, 1, 65535));
      if (inet_pton(AF_INET, address, &target->sin_addr) != 1) die(address);
    }
    free(port_list);
  }
  free(address_list);
  if (program->target_count == 0) die("no target");
}

static void parse(struct program *program, int argc, char **argv) {
  program->listener = -1;
  program->mode = argc > 1 ? argv[1] : "";
  if (strcmp(program->mode, "listen") == 0 && (argc == 4 || argc == 5)) {
    program->port = (uint16_t)number(argv[2], 1, 65535);
    program->processes = (int)number(argv[3], 1, MAX_PROCESSES);
    program->backlog = argc > 4 ? (int)number(argv[4], 1, 1000000) : 4096;
    if (!getenv("REUSEPORT")) program->listener = open_listener(program->port, program->backlog, false);
  } else if (strcmp(program->mode, "connect") == 0 && (argc == 6 || argc == 7)) {
    parse_targets(program, argv[2], argv[3]);
    program->count = number(argv[4], 1, 100000000);
    program->processes = (int)number(argv[5], 1, MAX_PROCESSES);
    program->rate = argc > 6 ? number(argv[6], 0, 10000000) : 0;
  } else if (strcmp(program->mode, "open") == 0 && argc == 3) {
    program->processes = (int)number(argv[2], 1, MAX_PROCESSES);
  } else {
    die("arguments");
  }
}

/* The part of a total that falls to process `index`: shares of 10 over 4 processes are 3, 3, 2, 2. */
static long share_of(long total, int index, int processes) { return total / processes + (index < total % processes); }

static void start_worker(struct program *program, int index, int control) {
  pid_t parent = getpid();
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) {
    program->workers[index].pid = pid;
    return;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) exit(1);
  close(control);
  struct worker *self = &program->workers[index];
  if (strcmp(program->mode, "listen") == 0) run_listen_worker(program, self);
  if (strcmp(program->mode, "open") == 0) run_open_worker(self);
  long rate = program->rate ? share_of(program->rate, index, program->processes) : 0;
  run_connect_worker(program, self, share_of(program->count, index, program->processes), rate);
}

int main(int argc, char **argv) {
  static struct program program;
  errno = 0;
  parse(&program, argc, argv);
  signal(SIGPIPE, SIG_IGN);
  const char *control_port = getenv("CONTROL_PORT");
  int control = open_listener((uint16_t)number(control_port ? control_port : "8081", 1, 65535), 128, false);
  size_t size = sizeof(struct worker) * (size_t)program.processes;
  program.workers = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (program.workers == MAP_FAILED) die("mmap");
  for (int index = 0; index < program.processes; index++) start_worker(&program, index, control);
  serve_reports(&program, control);
}
