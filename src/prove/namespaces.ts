import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

import type { NamespaceWorker } from '../linux/namespace-worker.ts';
import { LinuxError } from '../linux/linux-error.ts';
import type { ProcessRecord } from './leftovers.ts';
import { ProveError } from './prove-error.ts';
import type { NamespaceName, Topology } from './topology.ts';

/** The network namespaces of one proof. They have no names and no mounts: they end with the process that keeps each. */
export interface Namespaces extends AsyncDisposable {
  readonly pathOf: (name: NamespaceName) => string;
}

interface Context {
  readonly worker: NamespaceWorker;
  readonly record: ProcessRecord;
  readonly signal: AbortSignal;
}

const packageOf: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  unshare: 'util-linux',
  nsenter: 'util-linux',
};

const missingTool = (tool: string, cause: unknown): ProveError =>
  new ProveError('CannotHere', `${tool} is missing: install the Debian package ${packageOf[tool] ?? tool}`, { cause });

const started = async (child: ChildProcess, tool: string): Promise<void> => {
  try {
    await once(child, 'spawn');
  } catch (cause) {
    throw missingTool(tool, cause);
  }
};

const endOf = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
};

/** undefined: the process has ended. */
const namespaceOf = (pid: number | 'self'): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
};

/** Until the process is in a namespace of its own; false: it ended before. */
const isInside = async (child: ChildProcess, signal: AbortSignal): Promise<boolean> => {
  for (let waited = 0; waited < 500; waited += 1) {
    const namespace = namespaceOf(child.pid ?? 0);
    if (child.exitCode !== null || namespace === undefined) return false;
    if (namespace !== namespaceOf('self')) return true;
    await delay(2, undefined, { signal });
  }
  return false;
};

/** unshare(1) becomes `cat`, which ends with its standard input, so with this process, however that ends. */
const startKeeper = async ({ record, signal }: Context, made: AsyncDisposableStack): Promise<number> => {
  const child = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'ignore', 'pipe'] });
  await started(child, 'unshare');
  made.defer(async () => endOf(child));
  const { pid = 0, stderr } = child;
  record.add(pid);
  if (await isInside(child, signal)) return pid;
  await endOf(child);
  const said = stderr === null ? '' : (await text(stderr)).trim();
  throw new ProveError(
    'CannotHere',
    `no right to make a network namespace here (${said}): run it as root, or below "unshare --user --map-root-user --net"`,
  );
};

/** Runs a tool inside a namespace with `input` on its standard input. */
const runInside = async (
  netnsPath: string,
  [tool = '', ...args]: readonly string[],
  { input, signal }: { readonly input: string; readonly signal: AbortSignal },
): Promise<void> => {
  const child = spawn('nsenter', [`--net=${netnsPath}`, tool, ...args], {
    stdio: ['pipe', 'ignore', 'pipe'],
    signal,
  });
  // An abort is told here as an error, at any time; without a listener it would end the program.
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  await started(child, 'nsenter');
  child.stdin.end(input);
  const [said, [status]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  if (status === 127) throw missingTool(tool, said);
  if (status !== 0) throw new ProveError('CannotHere', `${tool} failed in a namespace of the proof: ${said.trim()}`);
};

const writeSysctls = async (
  context: Context,
  path: string,
  sysctls: Topology['namespaces'][number]['sysctls'],
): Promise<void> => {
  const operations = sysctls.map(({ name, value }) => ({ operation: 'WriteSysctl', name, value }) as const);
  const results = await context.worker.run(path, operations, context.signal);
  for (const [at, result] of results.entries()) {
    if (result.ok) continue;
    const { name = '', value = '' } = sysctls[at] ?? {};
    const cause = new LinuxError(result.failure);
    throw new ProveError('CannotHere', `${name} cannot be set to ${value} here: ${cause.message}`, { cause });
  }
};

/** Makes the namespaces of a topology, their links, addresses, routes, translators and sysctls. */
export const makeNamespaces = async (topology: Topology, context: Context): Promise<Namespaces> => {
  const { signal } = context;
  await using made = new AsyncDisposableStack();
  const keepers = new Map<string, number>();
  for (const { name } of topology.namespaces) {
    keepers.set(name, await startKeeper(context, made));
  }
  const pathOf = (name: NamespaceName): string => `/proc/${keepers.get(name) ?? 0}/ns/net`;
  for (const { from, to, batch } of topology.links) {
    const input = batch.replace('PEER', String(keepers.get(to) ?? 0));
    await runInside(pathOf(from), ['ip', '-batch', '-'], { input, signal });
  }
  for (const { name, addresses, rules, sysctls } of topology.namespaces) {
    await runInside(pathOf(name), ['ip', '-batch', '-'], { input: addresses, signal });
    await writeSysctls(context, pathOf(name), sysctls);
    if (rules !== '') await runInside(pathOf(name), ['nft', '-f', '-'], { input: rules, signal });
  }
  const kept = made.move();
  return { pathOf, [Symbol.asyncDispose]: async () => kept.disposeAsync() };
};
