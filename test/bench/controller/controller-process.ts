/**
 * The controller in a process of its own; it prints a line when its caches are whole, and whenever it has come to rest one of
 * what it did and cost so far.
 *
 *     node controller-process.js KUBECONFIG BUDGETS
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startController } from '../../../src/controller/run.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { readKubeConfig } from '../../../src/kube/kube-config.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { createMetrics, type Metrics } from '../../../src/observability/metrics.ts';

/** What is printed; seconds count from the start of the process, the stalls from the line before. */
export interface Line {
  readonly state: 'Synced' | 'Rest';
  /** When the caches were whole; when the last reconciliation ended. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly written: number;
  readonly unchanged: number;
  readonly failed: number;
  readonly peakMiB: number;
  readonly longestStallMs: number;
  /** The same in CPU time of its own: what it would be if nobody else were on the core. */
  readonly longestStallCpuMs: number;
}

const restMs = 2_000;
const lookMs = 50;

const [kubeconfig = '', expected = ''] = process.argv.slice(2);
const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();
let ownAtUs = process.threadCpuUsage().user;
let longestOwnUs = 0;
setInterval(() => {
  const nowUs = process.threadCpuUsage().user;
  longestOwnUs = Math.max(longestOwnUs, nowUs - ownAtUs);
  ownAtUs = nowUs;
}, 2);

const results: Record<string, number> = {};
let changedAtMs = performance.now();
let isReported = false;

/** The same metrics; what is counted there is seen here without writing them all out as text every few milliseconds. */
const watched = (metrics: Metrics): Metrics => ({
  ...metrics,
  histogram: (definition) => {
    const observe = metrics.histogram(definition);
    if (definition.name !== 'connectionbudget_reconcile_duration_seconds') return observe;
    return (labels, value) => {
      observe(labels, value);
      for (const result of Object.values<string | undefined>(labels))
        if (result !== undefined) results[result] = (results[result] ?? 0) + 1;
      changedAtMs = performance.now();
      isReported = false;
    };
  },
});

const config = readKubeConfig(kubeconfig);
const stop = new AbortController();
const controller = startController({
  config,
  client: createKubeClient(config, { connections: 4 }),
  namespace: 'default',
  identity: 'bench',
  logger: createLogger({ level: 'error', name: 'bench' }),
  metrics: watched(createMetrics()),
  leadSignal: stop.signal,
  signal: stop.signal,
});
process.once('SIGTERM', () => stop.abort());

function print(state: Line['state'], atMs: number): void {
  const { user, system } = process.cpuUsage();
  const { Written: written = 0, Unchanged: unchanged = 0, Failed: failed = 0 } = results;
  const line: Line = {
    state,
    seconds: atMs / 1000,
    cpuSeconds: (user + system) / 1e6,
    written,
    unchanged,
    failed,
    peakMiB: process.resourceUsage().maxRSS / 1024,
    longestStallMs: delay.max / 1e6,
    longestStallCpuMs: longestOwnUs / 1000,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  delay.reset();
  longestOwnUs = 0;
}

function look(): void {
  const { Written: written = 0, Unchanged: unchanged = 0 } = results;
  const isComplete = written + unchanged >= Number(expected);
  if (isReported || !isComplete || performance.now() - changedAtMs < restMs) return;
  isReported = true;
  print('Rest', changedAtMs);
}

void controller.synced.then(() => print('Synced', performance.now()));
const timer = setInterval(look, lookMs);
await controller.retired;
await controller.stopped;
clearInterval(timer);
process.exit(0);
