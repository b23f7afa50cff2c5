import { cp, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKubeClient } from '../../src/kube/client.ts';
import { sleep } from '../../src/kube/deadline.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { installOperator } from '../cluster/install-operator.ts';
import { type Cluster, clusterUp } from '../cluster/lab/cluster.ts';
import { clusterDown } from '../cluster/lab/cluster-down.ts';
import { ensureRequirements } from '../cluster/lab/debian.ts';
import { nodeFolder } from '../cluster/lab/node-mounts.ts';
import { startFaultProxy } from '../kube/fault-proxy.ts';
import { followThroughProxy } from './caches.ts';
import { inflictFaults } from './faults/inflict.ts';
import { createJournal } from './journal.ts';
import { makeGround, runLoad } from './load.ts';
import { followPodStarts, type PodStarts } from './pod-starts.ts';
import { countRequests } from './requests.ts';
import { createSamples } from './samples.ts';
import type { Seen, SoakRun } from './seen.ts';
import { judge } from './judge.ts';
import type { Soak } from './soak-setting.ts';
import { progressOf } from './summary.ts';
import { createStandstill } from './standstill.ts';

/** A cluster of one real node with the operator, load and faults for some minutes, and the verdict. */

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** The cluster's; it is removed in any case. */
  readonly dir: string;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

export const runSoak = async (options: SoakOptions): Promise<SoakRun> => {
  const { dir, print, signal } = options;
  const progress = { signal, onProgress: print };
  try {
    await ensureRequirements([{ needs: 'bpftool', debianPackage: 'bpftool' }], progress);
    const cluster = await clusterUp({ dir, ...progress });
    await installOperator(cluster, { by: 'Chart', spread: 'root' }, progress);
    const run = await soakOn(cluster, options);
    if (run.soak.journal.violations.length > 0) await keepLogs(cluster, options);
    return run;
  } finally {
    await clusterDown({ dir, signal: AbortSignal.timeout(120_000), onProgress: print });
  }
};

/** Of the cluster's parts and of the pods that are still there, for whoever looks for the cause. */
const keepLogs = async ({ dir }: Cluster, { seed, print }: SoakOptions): Promise<void> => {
  const kept = await mkdtemp(join(tmpdir(), `soak-seed-${seed}-logs-`));
  await cp(join(dir, 'logs'), join(kept, 'parts'), { recursive: true });
  await cp(nodeFolder(dir, '/var/log/pods'), join(kept, 'pods'), { recursive: true });
  print(`the logs are kept in ${kept}`);
};

const sinceProcessStartMs = (): number => performance.now();

const soakOn = async (cluster: Cluster, options: SoakOptions): Promise<SoakRun> => {
  const { seed, print } = options;
  const nowMs = sinceProcessStartMs;
  const life = new AbortController();
  const client = createKubeClient(readKubeConfig(cluster.kubeconfig));
  const proxy = await startFaultProxy(cluster.kubeconfig);
  const signal = AbortSignal.any([options.signal, life.signal]);
  const journal = createJournal(nowMs, print);
  const soak: Soak = { seed, cluster, client, proxy, journal, standstill: createStandstill(nowMs), nowMs, signal };
  try {
    return await loadAndJudge(soak, options.minutes);
  } finally {
    life.abort();
    await proxy.close();
    await client.close();
  }
};

const loadAndJudge = async (soak: Soak, minutes: number): Promise<SoakRun> => {
  await makeGround(soak);
  const caches = followThroughProxy(soak);
  const [starts, samples, requests] = [followPodStarts(soak), createSamples(soak), countRequests(soak)];
  await Promise.all([caches.synced, starts.synced]);
  const seen: Seen = { minutes, soak, caches, starts, samples, requests };
  const before = await samples.now();
  await underLoad(seen);
  const reasons = await judge(seen, before);
  soak.signal.throwIfAborted();
  return { ...seen, reasons };
};

/** From this minute on nothing of ours is killed, so that it lives long enough to show a leak. */
const spareAfterMinutes = 30;

const underLoad = async (seen: Seen): Promise<void> => {
  const { minutes, soak, starts, samples, requests } = seen;
  const over = new AbortController();
  const signal = AbortSignal.any([soak.signal, over.signal]);
  const spareAtMs = soak.nowMs() + spareAfterMinutes * 60_000;
  const parts = [
    runLoad({ soak, starts, mayRefuseBudgets: () => mayRefuseBudgets(soak), signal }),
    inflictFaults(soak, { signal, sparesOurs: () => soak.nowMs() > spareAtMs }),
    judgeStarts(starts, signal),
    samples.run(signal),
    requests.run(signal),
    sayProgress(seen, signal),
  ];
  await sleep(minutes * 60_000, signal);
  over.abort();
  await Promise.all(parts);
};

const progressMs = 300_000;

const sayProgress = async (seen: Seen, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    await sleep(progressMs, signal);
    seen.soak.journal.say(progressOf(seen));
  }
};

const judgeStarts = async (starts: PodStarts, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    starts.judge();
    await sleep(1000, signal);
  }
};

/** How long the webhook may need after a fault: it looks after caBundle and certificate once a minute. */
const repairMs = 120_000;

const mayRefuseBudgets = ({ journal, nowMs }: Soak): boolean => {
  const concerning = journal.faults.filter(({ kind }) => !kind.startsWith('streams'));
  return concerning.some(({ endedAtMs }) => endedAtMs === undefined || nowMs() - endedAtMs < repairMs);
};
