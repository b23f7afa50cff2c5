/** A thread that lives in one network namespace and makes single calls there, for experiments that a whole proof hides. */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { enterNetworkNamespace } from '../../src/linux/libc.ts';
import { sayLoaded } from '../../src/linux/native-thread.ts';
import { connectionSourceFor } from '../../src/prove/connection-source.ts';
import type { Endpoint, OpenPlan } from '../../src/prove/holder-protocol.ts';
import { epollEvents, loadSocketCalls, newSocketAddress, writeSocketAddress } from '../../src/prove/socket-calls.ts';

const calls = loadSocketCalls();
const getsockname = koffi.load(null).func('int getsockname(int, void *, void *)');
const netns = openSync(workerData as string, 'r');
enterNetworkNamespace(netns, { syscall: 'setns', attempt: 'enter a namespace of the experiment' });
closeSync(netns);

/** What a connect() in progress came to: 0, or the errno; undefined: nothing yet. */
type Fate = number | undefined;

const EINPROGRESS = 115;

const settle = (fds: readonly number[], waitMs: number): ReadonlyMap<number, Fate> => {
  const fates = new Map<number, Fate>();
  const epoll = calls.epollCreate();
  for (const fd of fds) calls.watch(epoll, fd, epollEvents.out | epollEvents.oneShot);
  const end = performance.now() + waitMs;
  while (fates.size < fds.length && performance.now() < end)
    calls.wait(epoll, 10, (fd) => fates.set(fd, calls.pendingError(fd)));
  calls.close(epoll);
  return fates;
};

const handCalls = {
  /** A socket that is bound, and listens where a backlog is given; -errno. */
  bind: (wanted: { ip: number; port: number; backlog?: number; option?: 'ReuseAddress' | 'ReusePort' }): number => {
    const fd = calls.openSocket();
    if (wanted.option !== undefined) calls.setOption(fd, wanted.option, 1);
    const bound = calls.bind(fd, writeSocketAddress(newSocketAddress(), wanted.ip, wanted.port));
    if (bound < 0) return bound;
    const listening = wanted.backlog === undefined ? 0 : calls.listen(fd, wanted.backlog);
    return listening < 0 ? listening : fd;
  },
  /** Opens up to `count`; stops at the first call that fails, and waits for those on the way. */
  open: ({ plan, count, waitMs = 500 }: { plan: OpenPlan; count: number; waitMs?: number }) => {
    const source = connectionSourceFor(calls, plan);
    const fds: number[] = [];
    let errno = 0;
    while (fds.length < count && errno === 0) {
      const fd = calls.openSocket();
      const { target, failed } = source.prepare(fd, fds.length);
      const address = writeSocketAddress(newSocketAddress(), target.ip, target.port);
      const result = failed < 0 ? failed : calls.connect(fd, address);
      errno = result < 0 && result !== -EINPROGRESS ? -result : 0;
      if (errno === 0) fds.push(fd);
      else calls.close(fd);
    }
    const fates = settle(fds, waitMs);
    const established = fds.filter((fd) => fates.get(fd) === 0);
    return { fds, established: established.length, errno, refused: [...new Set(fates.values())].filter(Boolean) };
  },
  accept: ({ fd, atMost }: { fd: number; atMost: number }): readonly number[] => {
    const accepted: number[] = [];
    for (let got = 0; got >= 0 && accepted.length < atMost;) {
      got = calls.accept(fd);
      if (got >= 0) accepted.push(got);
    }
    return accepted;
  },
  close: (fds: readonly number[]): void => {
    for (const fd of fds) calls.close(fd);
  },
  /** connect() to AF_UNSPEC ends a connection with RST (tcp_disconnect). */
  reset: (fds: readonly number[]): void => {
    for (const fd of fds) {
      calls.connect(fd, Buffer.alloc(16));
      calls.close(fd);
    }
  },
  send: ({ fds, bytes }: { fds: readonly number[]; bytes: number }): void => {
    for (const fd of fds) writeSync(fd, Buffer.alloc(bytes));
  },
  localEnds: (fds: readonly number[]): readonly Endpoint[] =>
    fds.map((fd) => {
      const address = newSocketAddress();
      getsockname(fd, address, Buffer.from([16, 0, 0, 0]));
      return { ip: address.readUInt32BE(4), port: address.readUInt16BE(2) };
    }),
  /** Below /proc: "sys/net/…" and "thread-self/net/…" are those of the namespace. */
  read: (path: string): string => readFileSync(`/proc/${path}`, 'utf8'),
  write: ({ path, value }: { path: string; value: string }): void => writeFileSync(`/proc/${path}`, `${value}\n`),
};

export type HandCalls = typeof handCalls;

export interface HandRequest {
  readonly id: number;
  readonly name: keyof HandCalls;
  readonly argument: unknown;
}

parentPort?.on('message', ({ id, name, argument }: HandRequest) => {
  try {
    const call = handCalls[name] as (argument: unknown) => unknown;
    parentPort?.postMessage({ id, result: call(argument) }, []);
  } catch (error) {
    parentPort?.postMessage({ id, errno: (error as { errno?: number }).errno ?? 0, message: String(error) }, []);
  }
});
sayLoaded();
