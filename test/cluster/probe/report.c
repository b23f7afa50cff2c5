/* The first process: answers one HTTP request per connection about what its workers hold. */
#include "connprobe.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const sysctls[] = {
    "net.ipv4.ip_local_port_range",  "net.ipv4.ip_local_reserved_ports", "net.core.somaxconn",
    "net.ipv4.tcp_max_syn_backlog",  "net.ipv4.tcp_syncookies",          "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_max_tw_buckets",   "net.ipv4.tcp_fin_timeout",         "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_keepalive_intvl",  "net.ipv4.tcp_keepalive_probes",    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",             "net.ipv4.ip_unprivileged_port_start",
};

static volatile sig_atomic_t stopping;
static void stop(int signal_number) { stopping = signal_number; }

/* The sysctl's text with blanks for tabs, "" where the namespace has none. */
static void read_sysctl(const char *name, char *value, size_t size) {
  char path[128] = "/proc/sys/";
  size_t length = strlen(path);
  for (; *name; name++) path[length++] = *name == '.' ? '/' : *name;
  path[length] = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? 0 : read(fd, value, size - 1);
  if (fd >= 0) close(fd);
  value[got < 0 ? 0 : got] = 0;
  for (char *at = value; *at; at++)
    if (*at == '\t') *at = ' ';
    else if (*at == '\n') *at = 0;
}

static struct worker total_of(const struct program *program) {
  struct worker total = {0};
  for (int i = 0; i < program->processes; i++) {
    const struct worker *worker = &program->workers[i];
    total.held += worker->held;
    total.opened += worker->opened;
    total.closed += worker->closed;
    total.failed += worker->failed;
    total.active |= worker->active;
    total.limit_reached |= worker->limit_reached;
    if (worker->last_errno) total.last_errno = worker->last_errno;
  }
  return total;
}

static void print_figures(FILE *out, const struct worker *worker) {
  const char *name = worker->last_errno ? strerrorname_np(worker->last_errno) : "";
  fprintf(out, "\"held\":%ld,\"opened\":%ld,\"closed\":%ld,\"failed\":%ld,", worker->held, worker->opened, worker->closed,
          worker->failed);
  fprintf(out, "\"active\":%s,\"limitReached\":%s,\"errno\":%d,\"errnoName\":\"%s\"", worker->active ? "true" : "false",
          worker->limit_reached ? "true" : "false", worker->last_errno, name ? name : "");
}

static void print_worker(FILE *out, const struct worker *worker) {
  struct rlimit limit = {0};
  prlimit(worker->pid, RLIMIT_NOFILE, NULL, &limit);
  fprintf(out, "{\"pid\":%d,", worker->pid);
  print_figures(out, worker);
  fprintf(out, ",\"descriptors\":%ld,\"softNofile\":%llu,\"hardNofile\":%llu}", worker->own_descriptors + worker->held,
          (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
}

static void print_report(FILE *out, const struct program *program) {
  struct worker total = total_of(program);
  fprintf(out, "{\"mode\":\"%s\",\"processes\":%d,\"wanted\":%ld,", program->mode, program->processes, program->count);
  print_figures(out, &total);
  fputs(",\"workers\":[", out);
  for (int i = 0; i < program->processes; i++) {
    if (i) fputc(',', out);
    print_worker(out, &program->workers[i]);
  }
  fputs("],\"sysctls\":{", out);
  for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++) {
    char value[1024];
    read_sysctl(sysctls[i], value, sizeof value);
    fprintf(out, "%s\"%s\":\"%s\"", i ? "," : "", sysctls[i], value);
  }
  fputs("}}\n", out);
}

static void respond(int fd, int status, const char *body, size_t length) {
  const char *type = body[0] == '{' ? "application/json" : "text/plain";
  dprintf(fd, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
          status == 200 ? "OK" : "Not Now", type, length);
  if (write(fd, body, length) < 0) return;
}

static void answer(const struct program *program, int fd) {
  char request[1024] = "";
  struct timeval patience = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (read(fd, request, sizeof request - 1) <= 0) return;
  if (strncmp(request, "GET /readyz", 11) == 0) {
    respond(fd, 200, "ready\n", 6);
  } else if (strncmp(request, "GET /heldz", 10) == 0) {
    bool held = total_of(program).held >= program->count;
    respond(fd, held ? 200 : 503, held ? "held\n" : "more\n", 5);
  } else {
    char *body = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&body, &length);
    if (!out) return;
    print_report(out, program);
    fclose(out);
    respond(fd, 200, body, length);
    free(body);
  }
}

_Noreturn void serve_reports(const struct program *program, int control) {
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  while (!stopping) {
    struct pollfd waiting = {.fd = control, .events = POLLIN};
    poll(&waiting, 1, 500);
    int fd = accept4(control, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
      answer(program, fd);
      close(fd);
    }
    /* A worker that ended takes the program with it: its connections are gone, and that must show. */
    if (waitpid(-1, NULL, WNOHANG) > 0) exit(1);
  }
  for (int i = 0; i < program->processes; i++) kill(program->workers[i].pid, SIGKILL);
  exit(0);
}
