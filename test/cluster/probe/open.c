/* Descriptors without connections: opens /dev/null until the process has as many as its limit allows, and keeps them. */
#include "connprobe.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

_Noreturn void run_open_worker(struct worker *self) {
  self->own_descriptors = count_own_descriptors();
  self->active = true;
  while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {
    self->held++;
    self->opened++;
  }
  self->failed++;
  self->last_errno = errno;
  self->limit_reached = is_limit(errno);
  self->active = false;
  for (;;) pause();
}
