/** As an ordinary user takes what all processes share, until the kernel says no; prints how many, and keeps them. */
import { setInterval } from 'node:timers';
import { loadSocketCalls } from '../../src/prove/socket-calls.ts';

const calls = loadSocketCalls();
process.setgid?.(65_534);
process.setuid?.(65_534);

const untilRefused = (take: () => number): { count: number; errno: number } => {
  for (let count = 0; ; count += 1) {
    const result = take();
    if (result < 0) return { count, errno: -result };
  }
};

/** An epoll watches a descriptor once: so many descriptors of one socket, in so many epolls as it takes. */
const watchOneMore = (): (() => number) => {
  const socket = calls.openSocket();
  const fds = Array.from({ length: 10_000 }, () => calls.duplicate(socket));
  let epoll = calls.epollCreate();
  let watched = 0;
  return () => {
    if (watched === fds.length) [epoll, watched] = [calls.epollCreate(), 0];
    const result = calls.watch(epoll, fds[watched] ?? -1, 1);
    watched += 1;
    return result;
  };
};

const take = process.argv[2] === 'watches' ? watchOneMore() : () => calls.openSocket();
process.stdout.write(JSON.stringify(untilRefused(take)));
setInterval(() => undefined, 1000);
