/* A program that knows nothing of spreading: it connects, holds and closes as standard input says, one answer a command.
 *   connector serve PORT …            accepts on every address; closes what its peer closes
 *   connector                         commands, a line each:
 *     open ADDRESS PORT COUNT           opens until one fails: how many, errno, nanoseconds
 *     churn ADDRESS PORT COUNT          opens and resets, so often: how many opened, the last errno, 0
 *     from LOCAL LOCALPORT ADDRESS PORT binds first, late where LOCALPORT is 0: 1 or 0, errno, 0
 *     listen ADDRESS PORT               listens in its own namespace
 *     close EVERY OFFSET fin|reset      of what is open, each EVERY-th from OFFSET on: how many
 *     sources                           local address and port of what is open */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most_connections = 20000, backlog = 4096 };

static int connections[most_connections];
static int open_count;

static socklen_t parse(const char *text, int port, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  struct sockaddr_in *v4 = (struct sockaddr_in *)to;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return sizeof *v4;
  }
  if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) exit(2);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  return sizeof *v6;
}

static int listen_at(const char *address, int port) {
  struct sockaddr_storage own;
  int yes = 1;
  socklen_t length = parse(address, port, &own);
  int fd = socket(own.ss_family, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  return bind(fd, (struct sockaddr *)&own, length) != 0 || listen(fd, backlog) != 0 ? -1 : fd;
}

/* 0 when it is open. A `local` of "" binds nothing. */
static int connect_to(const char *local, int local_port, const char *address, int port) {
  struct sockaddr_storage own, peer;
  socklen_t length = parse(address, port, &peer);
  int fd = socket(peer.ss_family, SOCK_STREAM, 0);
  if (fd < 0) return errno;
  int failed = 0;
  if (*local != 0) {
    socklen_t own_length = parse(local, local_port, &own);
    int yes = 1;
    if (local_port == 0) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    failed = bind(fd, (struct sockaddr *)&own, own_length);
  }
  if (failed == 0) failed = connect(fd, (struct sockaddr *)&peer, length);
  if (failed == 0) {
    connections[open_count++] = fd;
    return 0;
  }
  int error = errno;
  close(fd);
  return error;
}

static void open_many(const char *address, int port, int count) {
  struct timespec began, ended;
  int opened = 0, error = 0;
  clock_gettime(CLOCK_MONOTONIC, &began);
  while (opened < count && open_count < most_connections && error == 0) {
    error = connect_to("", 0, address, port);
    if (error == 0) opened++;
  }
  clock_gettime(CLOCK_MONOTONIC, &ended);
  long long ns = (ended.tv_sec - began.tv_sec) * 1000000000LL + ended.tv_nsec - began.tv_nsec;
  printf("%d %d %lld\n", opened, error, ns);
}

static void reset(int fd) {
  struct linger now = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

static void churn(const char *address, int port, int count) {
  int opened = 0, last_error = 0;
  for (int turn = 0; turn < count; turn++) {
    int error = connect_to("", 0, address, port);
    if (error != 0) last_error = error;
    else {
      opened++;
      reset(connections[--open_count]);
    }
  }
  printf("%d %d 0\n", opened, last_error);
}

static void close_some(int every, int offset, int resets) {
  int kept = 0, closed = 0;
  for (int at = 0; at < open_count; at++) {
    if (at % every != offset) {
      connections[kept++] = connections[at];
      continue;
    }
    if (resets) reset(connections[at]);
    else close(connections[at]);
    closed++;
  }
  open_count = kept;
  printf("%d\n", closed);
}

static void print_sources(void) {
  char text[INET6_ADDRSTRLEN];
  for (int at = 0; at < open_count; at++) {
    struct sockaddr_storage own;
    socklen_t length = sizeof own;
    getsockname(connections[at], (struct sockaddr *)&own, &length);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&own;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&own;
    int is_v4 = own.ss_family == AF_INET;
    inet_ntop(own.ss_family, is_v4 ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr, text, sizeof text);
    printf("%s%s %d", at == 0 ? "" : ",", text, ntohs(is_v4 ? v4->sin_port : v6->sin6_port));
  }
  printf("\n");
}

static void obey(const char *line) {
  char address[64], local[64], how[8];
  int port, local_port, count;
  if (sscanf(line, "open %63s %d %d", address, &port, &count) == 3) open_many(address, port, count);
  else if (sscanf(line, "churn %63s %d %d", address, &port, &count) == 3) churn(address, port, count);
  else if (sscanf(line, "from %63s %d %63s %d", local, &local_port, address, &port) == 4) {
    int error = connect_to(local, local_port, address, port);
    printf("%d %d 0\n", error == 0, error);
  } else if (sscanf(line, "listen %63s %d", address, &port) == 2)
    printf("%d\n", listen_at(address, port) < 0 ? errno : 0);
  else if (sscanf(line, "close %d %d %7s", &count, &port, how) == 3) close_some(count, port, strcmp(how, "reset") == 0);
  else if (strncmp(line, "sources", 7) == 0) print_sources();
  else exit(2);
}

static void serve(int count, char **ports) {
  struct epoll_event event = {.events = EPOLLIN}, events[256];
  int epoll = epoll_create1(0);
  for (int at = 0; at < count; at++) {
    event.data.fd = listen_at("::", atoi(ports[at]));
    if (event.data.fd < 0) exit(1);
    epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
  }
  int last_listener = event.data.fd;
  printf("ready\n");
  for (;;) {
    int ready = epoll_wait(epoll, events, 256, -1);
    for (int at = 0; at < ready; at++) {
      int fd = events[at].data.fd;
      if (fd > last_listener) {
        close(fd);
        continue;
      }
      event.data.fd = accept(fd, NULL, NULL);
      epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
  }
}

int main(int argc, char **argv) {
  struct rlimit limit;
  char line[256];
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 2 && strcmp(argv[1], "serve") == 0) serve(argc - 2, argv + 2);
  while (fgets(line, sizeof line, stdin) != NULL) obey(line);
  return 0;
}
