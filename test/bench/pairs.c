/* Opens and accepts so many pairs between two network namespaces, as the holders of a proof do: non-blocking, epoll, both
 * ends watched, the listener looked at every millisecond, never more than `window` ahead of the accepting side; what is
 * above the limit of a process is left to copies of it. Prints the seconds that it took.
 * Usage: pairs NETNS-OF-CLIENT NETNS-OF-SERVER SERVER-IP PORT FIRST-CLIENT-IP CLIENTS COUNT WINDOW; clients follow each other */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { events_per_wait = 512, first_client_port = 1024, per_process = 19000, first_connection = 16 };

static volatile int *accepted;
static struct epoll_event events[events_per_wait];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void enter(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) fail(path);
  close(fd);
}

static struct sockaddr_in address(const char *ip, int port) {
  struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &result.sin_addr);
  return result;
}

static void watch(int epoll, int fd, unsigned bits) {
  struct epoll_event event = {.events = bits, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

/* A copy of this process keeps what is open; this one closes it. */
static void park(void) {
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  close_range(first_connection, ~0U, 0);
}

static int at_own_descriptor(int fd, int wanted) {
  dup2(fd, wanted);
  close(fd);
  return wanted;
}

static void fill_gaps(void) {
  while (dup(0) < first_connection - 1) {}
}

static int listen_at(const char *ip, int port) {
  struct sockaddr_in own = address(ip, port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0 || listen(fd, 4096) != 0) fail("listen");
  return fd;
}

static void accept_all(int listener, int count) {
  int epoll = at_own_descriptor(epoll_create1(0), first_connection - 2);
  fill_gaps();
  int held = 0;
  while (held < count) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 && errno == EAGAIN) {
      usleep(1000);
      continue;
    }
    if (fd < 0) fail("accept4");
    watch(epoll, fd, EPOLLRDHUP | EPOLLET);
    held += 1;
    *accepted = held;
    if (held % per_process == 0) park();
  }
}

struct clients {
  struct sockaddr_in own;
  unsigned first;
  int count;
};

static void open_one(int epoll, struct clients *clients, struct sockaddr_in *server, int index) {
  struct sockaddr_in *own = &clients->own;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int one = 1;
  if (fd < 0) fail("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  own->sin_addr.s_addr = htonl(clients->first + index % clients->count);
  own->sin_port = htons(first_client_port + index / clients->count);
  if (bind(fd, (struct sockaddr *)own, sizeof *own) != 0) fail("bind");
  if (connect(fd, (struct sockaddr *)server, sizeof *server) != 0 && errno != EINPROGRESS) fail("connect");
  watch(epoll, fd, EPOLLOUT | EPOLLONESHOT);
}

static void open_all(struct clients *clients, struct sockaddr_in server, int count, int window) {
  int epoll = at_own_descriptor(epoll_create1(0), first_connection - 3);
  fill_gaps();
  int opened = 0, established = 0, parked = 0;
  while (established < count) {
    int end = *accepted + window < count ? *accepted + window : count;
    if (end > parked + per_process - 256) end = parked + per_process - 256;
    int batch = opened + 256 < end ? opened + 256 : end;
    for (; opened < batch; opened += 1) open_one(epoll, clients, &server, opened);
    established += epoll_wait(epoll, events, events_per_wait, opened >= end ? 2 : 0);
    if (opened - parked < per_process - 256 || established < opened) continue;
    park();
    parked = opened;
  }
}

int main(int argc, char **argv) {
  if (argc != 9) return 2;
  int count = atoi(argv[7]), window = atoi(argv[8]);
  struct clients clients = {.own = address(argv[5], 0), .count = atoi(argv[6])};
  clients.first = ntohl(clients.own.sin_addr.s_addr);
  accepted = mmap(NULL, sizeof *accepted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  enter(argv[2]);
  int listener = at_own_descriptor(listen_at("0.0.0.0", atoi(argv[4])), first_connection - 1);
  pid_t server = fork();
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    accept_all(listener, count);
    pause();
  }
  struct timespec began, ended;
  enter(argv[1]);
  clock_gettime(CLOCK_MONOTONIC, &began);
  open_all(&clients, address(argv[3], atoi(argv[4])), count, window);
  while (*accepted < count) usleep(100);
  clock_gettime(CLOCK_MONOTONIC, &ended);
  printf("%.6f\n", (ended.tv_sec - began.tv_sec) + (ended.tv_nsec - began.tv_nsec) / 1e9);
  fflush(stdout);
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  return 0;
}
