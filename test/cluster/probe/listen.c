/* The side that accepts: takes what comes and holds it; at EMFILE it stops accepting, as servers do. */
#include "connprobe.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct acceptor {
  int epoll;
  int listener;
  struct worker *self;
  rlim_t limit_when_stopped;
  bool descriptor_freed;
};

static void start_accepting(struct acceptor *acceptor) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = acceptor->listener};
  if (epoll_ctl(acceptor->epoll, EPOLL_CTL_ADD, acceptor->listener, &event) < 0) die("epoll_ctl");
  acceptor->self->active = true;
}

static rlim_t soft_limit(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : limit.rlim_cur;
}

static void stop_accepting(struct acceptor *acceptor, int error) {
  epoll_ctl(acceptor->epoll, EPOLL_CTL_DEL, acceptor->listener, NULL);
  acceptor->self->active = false;
  acceptor->self->limit_reached = true;
  acceptor->self->last_errno = error;
  acceptor->limit_when_stopped = soft_limit();
  acceptor->descriptor_freed = false;
}

/* One connection per call: processes that share a listener then take turns. */
static void accept_one(struct acceptor *acceptor) {
  int fd = accept4(acceptor->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    epoll_ctl(acceptor->epoll, EPOLL_CTL_ADD, fd, &event);
    acceptor->self->held++;
    acceptor->self->opened++;
  } else if (is_limit(errno)) {
    acceptor->self->failed++;
    stop_accepting(acceptor, errno);
  }
}

static void read_or_close(struct acceptor *acceptor, int fd) {
  char discarded[4096];
  ssize_t length = read(fd, discarded, sizeof discarded);
  if (length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR))) return;
  close(fd);
  acceptor->self->held--;
  acceptor->self->closed++;
  acceptor->descriptor_freed = true;
}

_Noreturn void run_listen_worker(const struct program *program, struct worker *self) {
  bool own = program->listener < 0;
  struct acceptor acceptor = {.self = self, .epoll = epoll_create1(EPOLL_CLOEXEC)};
  if (acceptor.epoll < 0) die("epoll_create1");
  acceptor.listener = own ? open_listener(program->port, program->backlog, true) : program->listener;
  self->own_descriptors = count_own_descriptors();
  start_accepting(&acceptor);
  for (;;) {
    struct epoll_event events[EVENTS_PER_WAIT];
    int ready = epoll_wait(acceptor.epoll, events, EVENTS_PER_WAIT, 1000);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd == acceptor.listener) accept_one(&acceptor);
      else read_or_close(&acceptor, events[i].data.fd);
    }
    bool room = acceptor.descriptor_freed || soft_limit() > acceptor.limit_when_stopped;
    if (!self->active && room) start_accepting(&acceptor);
  }
}
