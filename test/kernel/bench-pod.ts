import type { Holder } from '../../src/prove/holder.ts';
import { startHolder } from '../../src/prove/holder.ts';
import { startRecord } from '../../src/prove/leftovers.ts';
import { makeNamespaces } from '../../src/prove/namespaces.ts';
import { openCounters } from '../../src/prove/phase-run.ts';
import type { ProofState } from '../../src/prove/proof-state.ts';
import { topologyFor, type Topology } from '../../src/prove/topology.ts';
import type { SocketTotals } from '../../src/linux/sockets.ts';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';

export interface Bench extends AsyncDisposable {
  readonly topology: Topology;
  readonly pod: Holder;
  readonly peer: Holder;
  /** The pod's network namespace. */
  readonly podPath: string;
  readonly opened: () => number;
  /** Of the pod's namespace. */
  readonly counters: () => Promise<SocketTotals>;
}

const unlimited = {
  adopt: undefined,
  reservedDescriptors: 0,
  room: undefined as number | undefined,
  descriptorsPerConnection: 1,
};

/** A pod and its peer, one process each, to be told what to do step by step. */
export const startBench = async (state: ProofState, podLimits: Partial<typeof unlimited> = {}): Promise<Bench> => {
  const signal = AbortSignal.timeout(300_000);
  const topology = topologyFor(state);
  await using made = new AsyncDisposableStack();
  const closing = made.adopt(new AbortController(), (controller) => controller.abort());
  const worker = createNamespaceWorker({ signal: closing.signal });
  const record = made.use(startRecord());
  const counters = made.use(openCounters());
  const namespaces = made.use(await makeNamespaces(topology, { worker, record, signal }));
  const holders: Holder[] = [];
  for (const [name, listeners] of [
    ['pod', topology.podListeners[0] ?? []],
    ['peer', topology.peerListeners],
  ] as const) {
    const holder = made.use(await startHolder({ counterFd: counters.fd, record, signal }));
    const limits = name === 'pod' ? { ...unlimited, ...podLimits } : unlimited;
    await holder.prepare({ ...limits, netnsPath: namespaces.pathOf(name), listeners });
    holders.push(holder);
  }
  const kept = made.move();
  return {
    topology,
    pod: holders[0]!,
    peer: holders[1]!,
    podPath: namespaces.pathOf('pod'),
    opened: counters.opened,
    counters: async () => {
      const [totals] = await worker.run(namespaces.pathOf('pod'), [{ operation: 'ReadSocketTotals' }]);
      return totals.ok ? totals.value : {};
    },
    [Symbol.asyncDispose]: async () => kept.disposeAsync(),
  };
};
