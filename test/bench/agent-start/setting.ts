import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { stringify } from 'yaml';
import { z } from 'zod';
import { connectionNodeCrd } from '../../../src/api/crd.ts';
import { makeSigner } from '../../agent/plans.ts';
import { type Cluster, clusterUp, kubectl } from '../../cluster/lab/cluster.ts';
import { clusterDown } from '../../cluster/lab/cluster-down.ts';
import { onNode, splitCommand } from '../../cluster/lab/containerd.ts';
import type { Progress } from '../../cluster/lab/debian.ts';
import { probeReference } from '../../cluster/lab/images.ts';
import { stopDaemon } from '../../cluster/lab/process.ts';
import { waitFor } from '../../cluster/lab/wait.ts';
import { agentStart, ended, writeAgent } from '../agent/agent-program.ts';
import { type AgentWork, noWork, readAgentWork } from './agent-work.ts';
import { type Arm, checkContainers, section } from './arm.ts';

/** A real node whose kubelet is played by a program in Go, and what it meets there. */

export interface Crowd {
  readonly pods: number;
  readonly atOnce: number;
}

const batch = z.object({
  seconds: z.number(),
  pods: z.array(z.object({ sandboxMs: z.number(), createMs: z.number(), startMs: z.number(), pid: z.int().min(1) })),
});
export type Batch = z.output<typeof batch>;

const observabilityOf = ({ nodeAddress }: Cluster['network']): string => `http://${nodeAddress}:8081`;

function buildProgram(source: string, output: string): void {
  const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' };
  execFileSync('go', ['build', '-o', output, '.'], { cwd: join(import.meta.dirname, '..', source), env });
}

interface Surroundings {
  readonly env: Readonly<Record<string, string>>;
  /** NRI's Go tells more than is wanted. */
  readonly stderr: 'inherit' | 'ignore';
}

export class StartSetting implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'agent-start-'));
  readonly #dir = join(this.#folder, 'cluster');
  readonly #rootfs = join(this.#folder, 'rootfs');
  readonly #keys = join(this.#folder, 'keys');
  readonly #kubelet = join(this.#folder, 'agent-start');
  readonly #goPlugin = join(this.#folder, 'nri-latency');
  readonly #signer = makeSigner();
  readonly #progress: Progress;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  async prepare(): Promise<Cluster> {
    buildProgram('agent-start', this.#kubelet);
    buildProgram('nri-latency', this.#goPlugin);
    mkdirSync(this.#keys);
    writeFileSync(join(this.#keys, 'key-1'), this.#signer.published);
    await writeAgent(this.#rootfs);
    const cluster = await clusterUp({ dir: this.#dir, ...this.#progress });
    const { signal } = this.#progress;
    await kubectl(cluster, ['apply', '--server-side', '-f', '-'], { signal, input: stringify(connectionNodeCrd()) });
    // A kubelet removes pods that it does not know.
    await stopDaemon(this.#dir, 'kubelet');
    return cluster;
  }

  /** Resolves when the runtime knows it. */
  async startPlugin(cluster: Cluster, plugin: 'Agent' | 'Go'): Promise<ChildProcess> {
    const started = plugin === 'Agent' ? this.#startAgent(cluster) : this.#startGoPlugin(cluster);
    try {
      if (plugin === 'Agent') await this.#agentIsReady(cluster);
      await pause(1000, undefined, { signal: this.#progress.signal });
      return started;
    } catch (error) {
      await ended(started, 'SIGTERM');
      throw error;
    }
  }

  #startAgent(cluster: Cluster): ChildProcess {
    const flags = [
      `--node-name=${cluster.nodeName}`,
      `--keys-directory=${this.#keys}`,
      `--kubeconfig=${cluster.kubeconfig}`,
      '--log-level=error',
    ];
    const { command, env } = agentStart(this.#rootfs, flags);
    return this.#spawnOnNode(cluster, command, { env, stderr: 'inherit' });
  }

  #agentIsReady({ network }: Cluster): Promise<boolean> {
    const ready = async () => (await fetch(`${observabilityOf(network)}/readyz`)).ok;
    const { signal } = this.#progress;
    return waitFor('the agent is registered with the runtime', ready, { signal, timeoutMs: 30_000 });
  }

  #startGoPlugin(cluster: Cluster): ChildProcess {
    return this.#spawnOnNode(cluster, [this.#goPlugin, '-plugin', '-socket', cluster.nriSocket], {
      env: {},
      stderr: 'ignore',
    });
  }

  #spawnOnNode(cluster: Cluster, command: readonly string[], { env, stderr }: Surroundings): ChildProcess {
    const { signal } = this.#progress;
    const networkNamespace = cluster.network.nodeNamespace;
    const place = { dir: this.#dir, instance: cluster.instance, networkNamespace, signal };
    const { file, args } = splitCommand(onNode(place, command));
    return spawn(file, args, { stdio: ['ignore', 'ignore', stderr], env: { ...process.env, ...env } });
  }

  agentWork({ network }: Cluster, { plugin }: Arm): Promise<AgentWork> {
    return plugin === 'Agent' ? readAgentWork(observabilityOf(network)) : Promise.resolve(noWork);
  }

  /** Starts pods, sees what they have become, and removes them. */
  async startPods(cluster: Cluster, arm: Arm, crowd: Crowd): Promise<Batch> {
    const kubelet = spawn(this.#kubelet, this.#flagsFor(cluster, arm, crowd), { stdio: ['pipe', 'pipe', 'inherit'] });
    const exit = once(kubelet, 'exit');
    try {
      const { value } = await createInterface({ input: kubelet.stdout })[Symbol.asyncIterator]().next();
      if (typeof value !== 'string') throw new Error(`${arm.name}: pods could not be started`);
      const started = batch.parse(JSON.parse(value));
      const pids = started.pods.map(({ pid }) => pid);
      await checkContainers(arm, pids, this.#progress.signal);
      return started;
    } finally {
      kubelet.stdin.end();
      await exit;
    }
  }

  #flagsFor(cluster: Cluster, { isPlanned }: Arm, { pods, atOnce }: Crowd): readonly string[] {
    const flags = {
      socket: cluster.containerdAddress,
      image: probeReference,
      annotation: isPlanned ? this.#signer.annotationOf(section) : '',
      cgroup: `/${cluster.instance}/started`,
      logs: join(this.#folder, 'logs'),
      pods,
      'at-once': atOnce,
    };
    return Object.entries(flags).map(([flag, value]) => `-${flag}=${value}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { onProgress } = this.#progress;
    await clusterDown({ dir: this.#dir, signal: AbortSignal.timeout(60_000), onProgress });
    rmSync(this.#folder, { recursive: true });
  }
}
