import { closeSync, read, write } from 'node:fs';
import { promisify } from 'node:util';

import { LinuxError, linuxErrorFrom } from '../linux-error.ts';
import type { OpenSockets } from '../namespace-operations.ts';
import type { NamespaceWorker } from '../namespace-worker.ts';
import { addSockets, tcpDumpRequest } from '../sock-diag.ts';
import { DATAGRAM_BYTES } from '../sock-diag-socket.ts';
import type { FlowCount, FlowMatch } from './flow-match.ts';
import { FlowTally } from './flow-tally.ts';
import type { TcpIterator } from './tcp-iterator.ts';

/** One pass over the sockets of a network namespace. */
export interface Pass {
  readonly worker: NamespaceWorker;
  readonly netnsPath: string;
  readonly matches: readonly FlowMatch[];
  readonly signal: AbortSignal;
}

// In libuv's pool: neither the main thread nor the one that visits namespaces waits for the kernel's walk.
const readSome = promisify(read);
const writeAll = promisify(write);

// Bits of tcp_states.h: established, TIME_WAIT, listening.
const COUNTED_STATES = (1 << 1) | (1 << 6) | (1 << 10);

export async function countByIterator(iterator: TcpIterator, pass: Pass): Promise<readonly FlowCount[]> {
  iterator.prepare(pass.matches);
  await withSockets(pass, { operation: 'OpenIterator', link: iterator.link }, async (fd) => {
    // The program writes a byte after a chunk of sockets, which ends a read of one byte; nothing: all were seen.
    const byte = Buffer.alloc(1);
    while ((await readSome(fd, byte, 0, 1, null)).bytesRead > 0) throwIfAborted(pass.signal);
  });
  return iterator.counts(pass.matches);
}

export async function countBySockDiag(pass: Pass): Promise<readonly FlowCount[]> {
  const tally = new FlowTally(pass.matches);
  await withSockets(pass, { operation: 'OpenSockDiag' }, async (fd) => {
    await writeAll(fd, tcpDumpRequest(COUNTED_STATES));
    const bytes = Buffer.alloc(DATAGRAM_BYTES);
    for (;;) {
      const { bytesRead } = await readSome(fd, bytes, 0, bytes.length, null);
      if (addSockets(tally, new DataView(bytes.buffer, bytes.byteOffset, bytesRead))) return;
      throwIfAborted(pass.signal);
    }
  });
  return tally.result();
}

/** Opens in the namespace, at home reads, and closes: an open one would keep the namespace of a pod that has ended. */
async function withSockets(
  { worker, netnsPath }: Pass,
  operation: OpenSockets,
  readAll: (fd: number) => Promise<void>,
): Promise<void> {
  const [opened] = await worker.run(netnsPath, [operation]);
  if (!opened.ok) throw new LinuxError(opened.failure);
  try {
    await readAll(opened.value);
  } catch (error) {
    throw linuxErrorFrom(error, { syscall: 'read', attempt: `count the sockets of ${netnsPath}` });
  } finally {
    closeSync(opened.value);
  }
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new LinuxError({ kind: 'Aborted', syscall: 'read', message: 'the pass was aborted' });
}
