import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { mountBpf } from '../../src/linux/mount.ts';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { hooks, libbpf } from '../../src/linux/bpf/libbpf.ts';
import type { SpreadPod } from '../../src/linux/spread/pod-entry.ts';
import { openSpreader, type Spreader, type SpreaderOptions } from '../../src/linux/spread/spreader.ts';
import { cacheDirectory } from '../cluster/lab/environment.ts';
import { clangArguments, ensureBpfObject } from '../cluster/lab/bpf-object.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';

/** The addresses of the pod's link: those of the pod from .2 on, those of its peer. */
export const podIps = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `10.77.0.${at + 2}`);
export const podIps6 = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `fd77::${(at + 2).toString(16)}`);
export const peerIp = '10.77.0.1';
export const peerIp6 = 'fd77::1';
export const peerPorts = [7001, 7002, 7003, 7004] as const;

export const hundredPorts = { low: 40_000, high: 40_099 } as const;
export const keptPorts = 20;

/** One address and a hundred ports, of which the kernel keeps twenty. */
export const spreadPod = (changes: Partial<SpreadPod> = {}): SpreadPod => ({
  addresses: podIps(1),
  range: hundredPorts,
  reservedPorts: [],
  chooses: 'Tuples',
  timeWaitReuse: { of: 'Nothing', delayMs: 1000 },
  keptPorts,
  ...changes,
});

export interface Opened {
  readonly opened: number;
  readonly errno: number;
  readonly ns: number;
}

/** A program of the pod that only calls connect(). */
export interface Connector extends AsyncDisposable {
  readonly open: (address: string, port: number, count: number) => Promise<Opened>;
  /** Opens and resets `count` times; errno is the last one. */
  readonly churn: (address: string, port: number, count: number) => Promise<Opened>;
  readonly openFrom: (local: readonly [string, number], address: string, port: number) => Promise<Opened>;
  readonly listen: (address: string, port: number) => Promise<number>;
  readonly close: (every: number, offset: number, how: 'fin' | 'reset') => Promise<number>;
  /** Local address and port of each open connection: "10.77.0.2 40000". */
  readonly sources: () => Promise<readonly string[]>;
}

/** A program in a network namespace, and in a cgroup of version 2: default, the root. */
export const startConnector = (netnsPath: string, cgroup?: string): Connector =>
  connectorOf(run(netnsPath, [], cgroup));

/** Accepts at peerPorts. */
export const startServer = async (netnsPath: string): Promise<AsyncDisposable> => {
  const server = run(netnsPath, ['serve', ...peerPorts.map(String)]);
  await server.heard();
  return server;
};

export interface SpreadSetting extends AsyncDisposable {
  readonly podPath: string;
  readonly cookie: bigint;
  /** A cgroup of version 2 for the pod's processes. */
  readonly cgroup: string;
  readonly start: () => Promise<Connector>;
  readonly setSysctl: (name: string, value: string) => Promise<void>;
}

/** Kept in the cache: another source has another name. */
const built = (source: string, compiler: readonly string[]): string => {
  const path = join(import.meta.dirname, source);
  const hash = createHash('sha256').update(compiler.join(' ')).update(readFileSync(path)).digest('hex').slice(0, 12);
  const output = join(cacheDirectory(), 'bpf', `${source}-${hash}`);
  if (existsSync(output)) return output;
  const [tool = '', ...args] = compiler;
  mkdirSync(dirname(output), { recursive: true });
  const scratch = `${output}.${process.pid}`;
  execFileSync(tool, [...args, '-o', scratch, path]);
  renameSync(scratch, output);
  return output;
};

export const compileForBpf = (source: string): string => built(source, ['clang', ...clangArguments(), '-c']);

/** Where cgroups of version 2 are, also beside those of version 1. */
export const cgroupRoot = (): string =>
  /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup';

interface Talk extends AsyncDisposable {
  readonly ask: (line: string) => Promise<string>;
  readonly heard: () => Promise<string>;
}

const run = (netns: string, args: readonly string[], cgroup = cgroupRoot()): Talk => {
  const program = built('connector.c', ['gcc', '-O2', '-Wall']);
  const inside = 'echo $$ > "$0/cgroup.procs" && exec nsenter "$@"';
  const command = [cgroup, `--net=${netns}`, program, ...args];
  const child = spawn('sh', ['-c', inside, ...command], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const heard = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`the connector ended: ${child.exitCode ?? child.signalCode}`);
    return value;
  };
  return {
    heard,
    ask: async (line) => {
      child.stdin.write(`${line}\n`);
      return heard();
    },
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit');
      if (child.exitCode === null && child.kill('SIGKILL')) await ended;
    },
  };
};

const openedOf = (answer: string): Opened => {
  const [opened = 0, errno = 0, ns = 0] = answer.split(' ').map(Number);
  return { opened, errno, ns };
};

const connectorOf = (talk: Talk): Connector => ({
  open: async (address, port, count) => openedOf(await talk.ask(`open ${address} ${port} ${count}`)),
  churn: async (address, port, count) => openedOf(await talk.ask(`churn ${address} ${port} ${count}`)),
  openFrom: async ([local, localPort], address, port) =>
    openedOf(await talk.ask(`from ${local} ${localPort} ${address} ${port}`)),
  listen: async (address, port) => Number(await talk.ask(`listen ${address} ${port}`)),
  close: async (every, offset, how) => Number(await talk.ask(`close ${every} ${offset} ${how}`)),
  sources: async () => (await talk.ask('sources')).split(',').filter(Boolean),
  [Symbol.asyncDispose]: async () => talk[Symbol.asyncDispose](),
});

const ip = (...args: readonly string[]): void => void execFileSync('ip', args);

const connect = (pod: string, peer: string, addresses: number): void => {
  ip('link', 'add', 'eth0', 'netns', pod, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', peer);
  for (const address of podIps(addresses)) ip('-n', pod, 'address', 'add', `${address}/24`, 'dev', 'eth0');
  for (const address of podIps6(addresses)) ip('-n', pod, 'address', 'add', `${address}/64`, 'dev', 'eth0', 'nodad');
  ip('-n', peer, 'address', 'add', `${peerIp}/24`, 'dev', 'eth0');
  ip('-n', peer, 'address', 'add', `${peerIp6}/64`, 'dev', 'eth0', 'nodad');
  for (const name of [pod, peer]) ip('-n', name, 'link', 'set', 'eth0', 'up');
};

/** A pod with so many addresses of each family, its peer that listens, and a cgroup for the pod's processes. */
export const makeSpreadSetting = async (addresses: number, range: SpreadPod['range']): Promise<SpreadSetting> => {
  await using made = new AsyncDisposableStack();
  const pod = made.use(makeNetworkNamespace());
  const peer = made.use(makeNetworkNamespace());
  connect(pod.name, peer.name, addresses);
  const closing = made.adopt(new AbortController(), (controller) => controller.abort());
  const worker = createNamespaceWorker({ signal: closing.signal });
  const setSysctl = async (name: string, value: string): Promise<void> => {
    const [result] = await worker.run(pod.path, [{ operation: 'WriteSysctl', name, value }]);
    if (!result.ok) throw new Error(result.failure.message);
  };
  await setSysctl('net.ipv4.ip_local_port_range', `${range.low} ${range.high}`);
  const [cookie] = await worker.run(pod.path, [{ operation: 'ReadNetnsCookie' }]);
  if (!cookie.ok) throw new Error(cookie.failure.message);
  const cgroup = join(cgroupRoot(), `connbudget-${randomUUID().slice(0, 8)}`);
  mkdirSync(cgroup);
  made.defer(() => rmdirSync(cgroup));
  made.use(await startServer(peer.path));
  const processes = made.use(new AsyncDisposableStack());
  const start = async (): Promise<Connector> => processes.use(startConnector(pod.path, cgroup));
  const kept = made.move();
  return {
    podPath: pod.path,
    cookie: cookie.value,
    cgroup,
    start,
    setSysctl,
    [Symbol.asyncDispose]: async () => kept.disposeAsync(),
  };
};

const effectiveAt = (cgroupPath: string): readonly number[] => {
  const cgroup = openSync(cgroupPath, 'r');
  try {
    return hooks.flatMap((hook) => libbpf().effectivePrograms(cgroup, hook));
  } finally {
    closeSync(cgroup);
  }
};

/** Ids of the programs on a cgroup itself: what the root has, somebody else may be using. */
export const programsAt = (cgroupPath: string): readonly number[] => {
  const inherited = new Set(cgroupPath === cgroupRoot() ? [] : effectiveAt(cgroupRoot()));
  return effectiveAt(cgroupPath).filter((id) => !inherited.has(id));
};

/** A bpffs of its own, gone at the end. */
export const makeBpffs = (): Disposable & { readonly path: string } => {
  const path = mkdtempSync(join(tmpdir(), 'bpffs-'));
  mountBpf(path);
  return {
    path,
    [Symbol.dispose]: () => {
      execFileSync('umount', [path]);
      rmSync(path, { recursive: true });
    },
  };
};

export const spreadObject = (): Promise<string> =>
  ensureBpfObject('spread', { signal: AbortSignal.timeout(120_000), onProgress: () => undefined });

/** The spreader of the compiled object; throws where this kernel has none. */
export const openTestSpreader = async (options: Partial<SpreaderOptions> = {}): Promise<Spreader> => {
  const objectPath = await spreadObject();
  const spreader = openSpreader({ objectPath, bpffsPath: undefined, hostCookies: new Set(), ...options });
  if (spreader.form === 'None') throw new Error(spreader.reason);
  return spreader;
};

export interface SpreadPodSetting extends AsyncDisposable {
  readonly spreader: Spreader;
  readonly setting: SpreadSetting;
  readonly connector: Connector;
  readonly statistics: () => ReturnType<Spreader['statistics']>;
}

/** A pod whose cgroup has the program, and one process in it. */
export const startSpreadPod = async (pod: SpreadPod): Promise<SpreadPodSetting> => {
  await using made = new AsyncDisposableStack();
  const spreader = made.use(await openTestSpreader());
  const setting = made.use(await makeSpreadSetting(4, pod.range));
  const reserved = pod.reservedPorts.join(',');
  if (reserved !== '') await setting.setSysctl('net.ipv4.ip_local_reserved_ports', reserved);
  spreader.setPod(setting.cookie, pod);
  spreader.attach(setting.cgroup);
  const connector = await setting.start();
  const kept = made.move();
  return {
    spreader,
    setting,
    connector,
    statistics: () => spreader.statistics(setting.cookie),
    [Symbol.asyncDispose]: async () => kept.disposeAsync(),
  };
};
