import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { beforeAll, expect, onTestFinished, vi } from 'vitest';
import { type ConnectionNodeStatus, connectionNodeStatus } from '../../src/api/connection-node.ts';
import { connectionNodeCrd } from '../../src/api/crd.ts';
import { group, nodePlural, version } from '../../src/api/names.ts';
import type { KubeObject, Resource } from '../../src/kube/resources.ts';
import { makeSigner, type Signer } from '../agent/plans.ts';
import { buildRuntime, Runtime } from '../nri/runtime.ts';
import { call, type KubeSetting, useKubeSetting } from './kube-setting.ts';

/** The agent as it runs in its container, against a real API server and containerd's side of NRI. */

const program = new URL('../../src/bin/agent.ts', import.meta.url).pathname;
export const signer = makeSigner();
export const nodeName = 'node-1';

interface ConnectionNode extends KubeObject {
  readonly status?: unknown;
}
const kind = 'ConnectionNode';
export const connectionNodes: Resource<ConnectionNode> = {
  group,
  version,
  kind,
  plural: nodePlural,
  namespaced: false,
};

export interface AgentSetting {
  readonly kube: KubeSetting;
  readonly status: () => Promise<ConnectionNodeStatus>;
}

export function useAgentSetting(): AgentSetting {
  const kube = useKubeSetting();
  beforeAll(async () => {
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    await kube.direct.transport.send({ method: 'POST', path, body: connectionNodeCrd() }, call);
  });
  const status = async (): Promise<ConnectionNodeStatus> =>
    connectionNodeStatus.parse((await kube.direct.get({ resource: connectionNodes, name: nodeName }, call)).status);
  return { kube, status };
}

export const eventually = (check: () => Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 15_000, interval: 50 });

interface Line {
  readonly message: string;
  readonly port?: number;
}

export interface AgentProcess {
  readonly child: ChildProcess;
  readonly socketPath: string;
  readonly exited: Promise<unknown>;
  readonly ready: () => Promise<string>;
  readonly metrics: () => Promise<string>;
  readonly publishKey: (keyId: string, key: Signer) => Promise<void>;
}

export interface AgentOptions {
  readonly observabilityPort?: number;
  /** Where another agent has it already; else a new one. */
  readonly socketPath?: string;
  /** A command that starts the agent's, given the folder of the runtime's socket. */
  readonly wrapper?: (socketFolder: string) => readonly string[];
}

/** What plays the runtime is found by its name. */
export async function startAgent(kubeconfig: string, options: AgentOptions = {}): Promise<AgentProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'agent-'));
  const socketPath = options.socketPath ?? join(folder, 'nri', 'nri.sock');
  for (const name of ['keys', 'nri']) await mkdir(join(folder, name));
  const publishKey = (keyId: string, { published }: Signer): Promise<void> =>
    writeFile(join(folder, 'keys', keyId), published);
  await publishKey('key-1', signer);
  const flags = {
    'node-name': nodeName,
    'nri-socket': socketPath,
    'keys-directory': join(folder, 'keys'),
    'runtime-names': 'adaptation',
    kubeconfig,
    port: String(options.observabilityPort ?? 0),
  };
  const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  const wrapper = options.wrapper?.(join(folder, 'nri')) ?? [];
  const [file = '', ...rest] = [...wrapper, process.execPath, program, ...args];
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true });
  });
  return { child, socketPath, exited, publishKey, ...questionsTo(child) };
}

function questionsTo(child: ChildProcess): Pick<AgentProcess, 'ready' | 'metrics'> {
  const lines: Line[] = [];
  if (child.stdout !== null) createInterface(child.stdout).on('line', (line) => lines.push(JSON.parse(line) as Line));
  const get = async (path: string): Promise<string> => {
    const port = lines.find(({ message }) => message === 'started')?.port;
    return port === undefined ? '' : (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  };
  return { ready: () => get('/readyz'), metrics: () => get('/metrics') };
}

export async function startRuntime(agent: Pick<AgentProcess, 'socketPath' | 'ready'>): Promise<Runtime> {
  const runtime = new Runtime(await buildRuntime(), agent.socketPath);
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  await runtime.reached('synchronized');
  await isReady(agent);
  return runtime;
}

export const isReady = ({ ready }: Pick<AgentProcess, 'ready'>): Promise<void> =>
  eventually(async () => expect(await ready()).toBe('ok\n'));
