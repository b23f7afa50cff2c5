import { execFileSync } from 'node:child_process';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { NativeThread } from '../../src/linux/native-thread.ts';
import { parseNetstat, parseSockstat } from '../../src/linux/sockets.ts';
import type { OpenPlan } from '../../src/prove/holder-protocol.ts';
import { startRecord } from '../../src/prove/leftovers.ts';
import { makeNamespaces } from '../../src/prove/namespaces.ts';
import { linkBatches } from '../../src/prove/topology-text.ts';
import type { NamespaceName, Topology } from '../../src/prove/topology.ts';
import type { HandCalls } from './hand-thread.ts';

/** Pod 10.0.0.2 – peer 10.0.0.1, or with a router between: pod 10.0.0.2 – 10.0.0.1 router 10.1.0.2 – peer 10.1.0.1. */
export const podIp = 0x0a00_0002;
/** The first address of the peers', all of which are the peer's own. */
export const peerIp = 0x6440_0001;
export const loopbackIp = 0x7f00_0001;

type Ask = <K extends keyof HandCalls>(
  name: K,
  argument: Parameters<HandCalls[K]>[0],
) => Promise<ReturnType<HandCalls[K]>>;

/** One namespace of an experiment, and a thread in it that makes the calls. */
export interface Place {
  readonly ask: Ask;
  /** Runs a tool inside. */
  readonly run: (tool: string, args: readonly string[], input?: string) => string;
  readonly sysctl: (name: string) => Promise<string>;
  /** Counters since the namespace was made: "TcpExt.ListenDrops", and what is there: "TCP.tw". */
  readonly counters: () => Promise<ReadonlyMap<string, number>>;
}

type Settings = readonly { readonly name: string; readonly value: string }[];

export interface SiteShape {
  readonly sysctls?: Settings;
  readonly peerSysctls?: Settings;
  /** Extra addresses of the pod. */
  readonly extraAddresses?: readonly string[];
  /** nft rules of a router on the way; without them there is none. */
  readonly routerRules?: string;
  readonly routerSysctls?: Settings;
}

export interface Site extends AsyncDisposable {
  readonly pod: Place;
  readonly peer: Place;
  readonly router: Place;
}

interface HandReply {
  readonly id: number;
  readonly result: unknown;
  readonly errno: number | undefined;
  readonly message: string;
}

const hired = (netnsPath: string) => {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const thread = new NativeThread<HandReply>(new URL('./hand-thread.ts', import.meta.url), {
    workerData: netnsPath,
    onMessage: ({ id, result, errno, message }) => {
      if (errno === undefined) waiting.get(id)?.resolve(result);
      else waiting.get(id)?.reject(Object.assign(new Error(message), { errno }));
      waiting.delete(id);
    },
    onEnded: (error) => waiting.forEach(({ reject }) => reject(error)),
  });
  let last = 0;
  const ask: Ask = async (name, argument) => {
    last += 1;
    const answer = Promise.withResolvers<unknown>();
    waiting.set(last, answer);
    thread.post({ id: last, name, argument });
    return answer.promise as Promise<ReturnType<HandCalls[typeof name]>>;
  };
  return { ask, end: () => thread.end() };
};

const placeAt = (netnsPath: string, ask: Ask): Place => ({
  ask,
  run: (tool, args, input = '') =>
    execFileSync('nsenter', [`--net=${netnsPath}`, tool, ...args], { input, encoding: 'utf8' }),
  sysctl: async (name) => (await ask('read', `sys/${name.replaceAll('.', '/')}`)).trim().replaceAll(/\s+/g, ' '),
  counters: async () =>
    new Map([
      ...parseNetstat(await ask('read', 'thread-self/net/netstat')),
      ...parseNetstat(await ask('read', 'thread-self/net/snmp')),
      ...parseSockstat(await ask('read', 'thread-self/net/sockstat')),
    ]),
});

const topologyOf = (shape: SiteShape): Topology => {
  const hasRouter = shape.routerRules !== undefined;
  const names: readonly NamespaceName[] = hasRouter ? ['pod', 'router-1', 'peer'] : ['pod', 'peer'];
  const batches = linkBatches(names.length - 2);
  const settings: Readonly<Record<string, Settings>> = {
    pod: shape.sysctls ?? [],
    peer: shape.peerSysctls ?? [],
    'router-1': [{ name: 'net.ipv4.ip_forward', value: '1' }, ...(shape.routerSysctls ?? [])],
  };
  return {
    namespaces: names.map((name, at) => ({
      name,
      addresses: batches.addressesOf(at, name === 'pod' ? (shape.extraAddresses ?? []) : []),
      rules: name === 'router-1' ? (shape.routerRules ?? '') : '',
      sysctls: settings[name] ?? [],
    })),
    links: names.slice(1).map((to, at) => ({ from: names[at] ?? 'pod', to, batch: batches.link })),
    flows: [],
    peerListeners: [],
    podListeners: [],
  };
};

/** Makes the namespaces of an experiment, with a hand in each; all gone at the end of the block that is using it. */
export const makeSite = async (shape: SiteShape = {}): Promise<Site> => {
  const signal = AbortSignal.timeout(60_000);
  await using made = new AsyncDisposableStack();
  const closing = made.adopt(new AbortController(), (controller) => controller.abort());
  const worker = createNamespaceWorker({ signal: closing.signal });
  const record = made.use(startRecord());
  const namespaces = made.use(await makeNamespaces(topologyOf(shape), { worker, record, signal }));
  const enter = (name: NamespaceName): Place => {
    const { ask, end } = hired(namespaces.pathOf(name));
    made.defer(end);
    return placeAt(namespaces.pathOf(name), ask);
  };
  const [pod, peer] = [enter('pod'), enter('peer')];
  const router = shape.routerRules === undefined ? peer : enter('router-1');
  const kept = made.move();
  return { pod, peer, router, [Symbol.asyncDispose]: async () => kept.disposeAsync() };
};

/** Opening to one target by the kernel's choice of source, with what is said otherwise. */
export const openPlan = (changes: Partial<OpenPlan> = {}): OpenPlan => ({
  targets: [{ ip: peerIp, port: 9000 }],
  busiestPercent: undefined,
  sourceIps: [],
  source: { kind: 'Kernel', range: undefined },
  synRetries: undefined,
  ...changes,
});

/** ip_local_port_range of so many ports from 40,000 on. */
export const portRangeOf = (count: number) => ({
  name: 'net.ipv4.ip_local_port_range',
  value: `40000 ${40_000 + count - 1}`,
});
