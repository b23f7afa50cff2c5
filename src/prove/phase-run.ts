import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { createNamespaceWorker } from '../linux/namespace-worker.ts';
import type { Spreader } from '../linux/spread/spreader.ts';
import { type FlowResult, runFlow, type SharedCounters } from './flow-run.ts';
import { type Holder, startHolder } from './holder.ts';
import { counterSlots } from './holder-protocol.ts';
import { readConnectionSlabBytes, settledSlabBytes } from './kernel-memory.ts';
import { type ProcessRecord, startRecord } from './leftovers.ts';
import { makeNamespaces, type Namespaces } from './namespaces.ts';
import { spreadPod } from './proof-spread.ts';
import { nofileOf, type ProofState } from './proof-state.ts';
import type { FlowWiring, Topology } from './topology.ts';

export interface PhaseResult {
  readonly flows: readonly FlowResult[];
  /** Connections that were held at the end, by the pod's processes and by the peers'. */
  readonly heldByPod: number;
  readonly heldByPeer: number;
  readonly lost: number;
  readonly processes: number;
  readonly seconds: number;
  /** Of one end of a connection, on average over both. */
  readonly kernelBytesPerEnd: number;
}

export interface Progress {
  readonly flow: string;
  readonly opened: number;
  readonly accepted: number;
  readonly declared: number;
}

export interface PhaseOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  /** Attached where the processes of the proof are. */
  readonly spreader?: Spreader | undefined;
  readonly holderUrl?: URL | undefined;
  readonly workerUrl?: URL | undefined;
}

const progressMs = 500;
const holdMs = 300;

/** A file without a name that all processes of a phase have open: two numbers that both sides read and write. */
export const openCounters = (): SharedCounters & Disposable & { readonly fd: number } => {
  const directory = mkdtempSync(join(tmpdir(), 'connection-budget-'));
  const fd = openSync(join(directory, 'counters'), 'w+', 0o600);
  rmSync(directory, { recursive: true });
  const slot = Buffer.alloc(8);
  const read = (at: number): number => {
    readSync(fd, slot, 0, 8, at);
    return slot.readDoubleLE();
  };
  const reset = (): void => void writeSync(fd, Buffer.alloc(16), 0, 16, 0);
  reset();
  return {
    fd,
    reset,
    opened: () => read(counterSlots.opened),
    accepted: () => read(counterSlots.accepted),
    [Symbol.dispose]: () => closeSync(fd),
  };
};

interface Setting {
  readonly state: ProofState;
  readonly topology: Topology;
  readonly namespaces: Namespaces;
  readonly start: () => Promise<Holder>;
}

/** Descriptors that a process of this container has for connections, as the plan of the phase limits it. */
const roomOf = (state: ProofState, index: number): number =>
  Math.max(0, nofileOf(state, index) - (state.demand.containers[index]?.reservedDescriptors ?? 0));

/** The processes of one container; the first one listens, the others share its sockets. */
const startContainer = async (setting: Setting, index: number): Promise<readonly Holder[]> => {
  const { state, topology, namespaces, start } = setting;
  const planned = state.plan.containers[index];
  const container = state.demand.containers[index];
  if (planned === undefined || container === undefined) return [];
  const holders: Holder[] = [];
  let adopt: { readonly pid: number; readonly fds: readonly number[] } | undefined;
  for (let started = 0; started < planned.processes; started += 1) {
    const holder = await start();
    const { listenerFds } = await holder.prepare({
      netnsPath: namespaces.pathOf('pod'),
      listeners: topology.podListeners[index] ?? [],
      adopt,
      reservedDescriptors: container.reservedDescriptors,
      room: roomOf(state, index),
      descriptorsPerConnection: container.descriptorsPerConnection,
    });
    adopt ??= { pid: holder.pid, fds: listenerFds };
    holders.push(holder);
  }
  return holders;
};

/** Without limits of its own: the peers, or a sidecar that the budget does not list. */
const startUnlimited = async (
  { namespaces, start }: Setting,
  name: 'pod' | 'peer',
  listeners: Topology['peerListeners'],
): Promise<Holder> => {
  const holder = await start();
  await holder.prepare({
    netnsPath: namespaces.pathOf(name),
    listeners,
    adopt: undefined,
    reservedDescriptors: 0,
    room: undefined,
    descriptorsPerConnection: 1,
  });
  return holder;
};

interface Crew {
  readonly containers: readonly (readonly Holder[])[];
  readonly peer: Holder;
  /** By name. Those that are containers of the budget are processes of those. */
  readonly sidecars: ReadonlyMap<string, readonly Holder[]>;
}

const startCrew = async (setting: Setting): Promise<Crew> => {
  const peer = await startUnlimited(setting, 'peer', setting.topology.peerListeners);
  const containers: (readonly Holder[])[] = [];
  for (const index of setting.state.demand.containers.keys()) containers.push(await startContainer(setting, index));
  const sidecars = new Map<string, readonly Holder[]>();
  for (const { sidecar } of setting.topology.flows) {
    if (sidecar === undefined || sidecars.has(sidecar)) continue;
    const listed = setting.state.demand.containers.findIndex(({ name }) => name === sidecar);
    sidecars.set(sidecar, containers[listed] ?? [await startUnlimited(setting, 'pod', [])]);
  }
  return { containers, peer, sidecars };
};

const runFlows = async (
  flows: readonly FlowWiring[],
  crew: Crew,
  { counters, options }: { readonly counters: SharedCounters; readonly options: PhaseOptions },
): Promise<readonly FlowResult[]> => {
  const results: FlowResult[] = [];
  for (const wiring of flows) {
    const pod = crew.containers[wiring.container] ?? [];
    const across = crew.sidecars.get(wiring.sidecar ?? '') ?? [crew.peer];
    const outbound = wiring.direction === 'Outbound';
    const sides = { openers: outbound ? pod : across, acceptors: outbound ? across : pod };
    const tell = (): void =>
      options.onProgress({
        flow: wiring.flow,
        opened: counters.opened(),
        accepted: counters.accepted(),
        declared: wiring.connections,
      });
    const timer = setInterval(tell, progressMs);
    try {
      results.push(await runFlow(wiring, sides, { counters, signal: options.signal }));
    } finally {
      clearInterval(timer);
    }
    tell();
  }
  return results;
};

const countHeld = async ({ containers, peer, sidecars }: Crew) => {
  const pod = [];
  for (const holder of new Set([...containers, ...sidecars.values()].flat())) pod.push(await holder.count());
  const far = await peer.count();
  const all = [...pod, far];
  return {
    heldByPod: pod.reduce((sum, { held }) => sum + held, 0),
    heldByPeer: far.held,
    lost: all.reduce((sum, { lost }) => sum + lost, 0),
    processes: all.reduce((sum, { keeperPids }) => sum + 1 + keeperPids.length, 0),
  };
};

const fill = async (
  setting: Setting,
  used: { readonly counters: SharedCounters; readonly options: PhaseOptions },
): Promise<PhaseResult> => {
  const { signal } = used.options;
  const crew = await startCrew(setting);
  const slabBefore = await settledSlabBytes(signal);
  const flows = await runFlows(setting.topology.flows, crew, used);
  await delay(holdMs, undefined, { signal });
  const held = await countHeld(crew);
  const ends = Math.max(1, held.heldByPod + held.heldByPeer);
  return {
    flows,
    ...held,
    seconds: flows.reduce((sum, { seconds }) => sum + seconds, 0),
    kernelBytesPerEnd: Math.max(0, Math.round((readConnectionSlabBytes() - slabBefore) / ends)),
  };
};

/** Makes the pod of a phase and its surroundings, fills it, counts, and takes everything away. */
export const runPhase = async (state: ProofState, topology: Topology, options: PhaseOptions): Promise<PhaseResult> => {
  const { signal } = options;
  await using made = new AsyncDisposableStack();
  const record: ProcessRecord = made.use(startRecord());
  const closing = new AbortController();
  made.defer(() => closing.abort());
  const { workerUrl } = options;
  const worker = createNamespaceWorker({ signal: closing.signal, timeoutMs: 10_000, ...(workerUrl && { workerUrl }) });
  const counters = made.use(openCounters());
  const namespaces = made.use(await makeNamespaces(topology, { worker, record, signal }));
  const { spreader } = options;
  if (spreader !== undefined) await spreadPod(state, spreader, { worker, netnsPath: namespaces.pathOf('pod') });
  const start = async (): Promise<Holder> =>
    made.use(await startHolder({ counterFd: counters.fd, record, signal, programUrl: options.holderUrl }));
  return await fill({ state, topology, namespaces, start }, { counters, options });
};
