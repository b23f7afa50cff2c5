/* The side that opens: keeps its share of connections open, taking the targets in turn. */
#include "connprobe.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_PENDING = 256 };
static const double pause_after_failure_seconds = 1;

struct opener {
  int epoll;
  struct worker *self;
  long share;
  long rate;
  long pending;       /* connect() without an answer yet */
  double started;
  long attempts;
  double resume_at;
  int next_target;
  bool *is_pending;   /* by descriptor */
  long known_descriptors;
};

static void remember_pending(struct opener *opener, int fd, bool pending) {
  if (fd >= opener->known_descriptors) {
    long wanted = (fd + 1) * 2;
    opener->is_pending = realloc(opener->is_pending, (size_t)wanted * sizeof(bool));
    if (!opener->is_pending) die("realloc");
    opener->known_descriptors = wanted;
  }
  opener->is_pending[fd] = pending;
  opener->pending += pending ? 1 : -1;
}

static void note_failure(struct opener *opener, int error) {
  opener->self->failed++;
  opener->self->last_errno = error;
  if (is_limit(error)) opener->self->limit_reached = true;
  opener->self->active = false;
  opener->resume_at = now_seconds() + pause_after_failure_seconds;
}

static void open_one(const struct program *program, struct opener *opener) {
  opener->attempts++;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    note_failure(opener, errno);
    return;
  }
  const struct sockaddr_in *target = &program->targets[opener->next_target];
  opener->next_target = (opener->next_target + 1) % program->target_count;
  if (connect(fd, (const struct sockaddr *)target, sizeof *target) < 0 && errno != EINPROGRESS) {
    note_failure(opener, errno);
    close(fd);
    return;
  }
  struct epoll_event event = {.events = EPOLLOUT | EPOLLRDHUP, .data.fd = fd};
  epoll_ctl(opener->epoll, EPOLL_CTL_ADD, fd, &event);
  remember_pending(opener, fd, true);
}

static void finish_connect(struct opener *opener, int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  remember_pending(opener, fd, false);
  if (error) {
    note_failure(opener, error);
    close(fd);
    return;
  }
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
  epoll_ctl(opener->epoll, EPOLL_CTL_MOD, fd, &event);
  opener->self->held++;
  opener->self->opened++;
}

static void read_or_close(struct opener *opener, int fd) {
  char discarded[4096];
  ssize_t length = read(fd, discarded, sizeof discarded);
  if (length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR))) return;
  close(fd);
  opener->self->held--;
  opener->self->closed++;
}

static bool may_open(const struct opener *opener, double now) {
  if (opener->self->held + opener->pending >= opener->share || opener->pending >= MOST_PENDING) return false;
  if (now < opener->resume_at) return false;
  return opener->rate == 0 || (double)opener->attempts < (now - opener->started) * (double)opener->rate;
}

_Noreturn void run_connect_worker(const struct program *program, struct worker *self, long share, long rate) {
  struct opener opener = {.self = self, .share = share, .rate = rate, .started = now_seconds()};
  opener.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (opener.epoll < 0) die("epoll_create1");
  self->own_descriptors = count_own_descriptors();
  for (;;) {
    self->active = self->held < share && now_seconds() >= opener.resume_at;
    while (may_open(&opener, now_seconds())) open_one(program, &opener);
    struct epoll_event events[EVENTS_PER_WAIT];
    int ready = epoll_wait(opener.epoll, events, EVENTS_PER_WAIT, self->active ? 5 : 200);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (opener.is_pending[fd]) finish_connect(&opener, fd);
      else read_or_close(&opener, fd);
    }
  }
}
