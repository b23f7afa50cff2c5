/**
 * The controller in a process of its own; whenever it has come to rest it prints a line of what it did and cost so far.
 *
 *     node test/bench/controller/controller-process.ts KUBECONFIG BUDGETS
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startController } from '../../../src/controller/run.ts';
import { createKubeClient } from '../../../src/kube/client.ts';
import { readKubeConfig } from '../../../src/kube/kube-config.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { createMetrics } from '../../../src/observability/metrics.ts';

/** What is printed; everything counts from the start of the process. */
export interface Rest {
  /** When the last reconciliation ended. */
  readonly seconds: number;
  readonly written: number;
  readonly unchanged: number;
  readonly failed: number;
  readonly peakMiB: number;
  readonly longestStallMs: number;
}

const restMs = 2_000;
const lookMs = 50;

const [kubeconfig = '', expected = ''] = process.argv.slice(2);
const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();
const config = readKubeConfig(kubeconfig);
const metrics = createMetrics();
const stop = new AbortController();
const controller = startController({
  config,
  client: createKubeClient(config, { connections: 4 }),
  namespace: 'default',
  identity: 'bench',
  logger: createLogger({ level: 'error', name: 'bench' }),
  metrics,
  leadSignal: stop.signal,
  signal: stop.signal,
});
process.once('SIGTERM', () => stop.abort());

const numberOf = (text: string, name: string): number =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
const counted = (text: string, result: string): number =>
  numberOf(text, `connectionbudget_reconcile_duration_seconds_count\\{result="${result}"\\}`);

let reconciled = 0;
let changedAtMs = performance.now();
let isReported = false;

async function look(): Promise<void> {
  const text = await metrics.text();
  const [written = 0, unchanged = 0, failed = 0] = ['Written', 'Unchanged', 'Failed'].map((result) =>
    counted(text, result),
  );
  const ready = ['True', 'False', 'Unknown'].map((state) =>
    numberOf(text, `connectionbudget_budgets\\{ready="${state}"\\}`),
  );
  const isComplete = ready.reduce((sum, count) => sum + count, 0) === Number(expected);
  if (written + unchanged + failed !== reconciled) {
    reconciled = written + unchanged + failed;
    changedAtMs = performance.now();
    isReported = false;
  }
  if (isReported || !isComplete || performance.now() - changedAtMs < restMs) return;
  isReported = true;
  const cost = { peakMiB: process.resourceUsage().maxRSS / 1024, longestStallMs: delay.max / 1e6 };
  const rest: Rest = { seconds: changedAtMs / 1000, written, unchanged, failed, ...cost };
  process.stdout.write(`${JSON.stringify(rest)}\n`);
  delay.reset();
}

const timer = setInterval(() => void look(), lookMs);
await controller.retired;
await controller.stopped;
clearInterval(timer);
process.exit(0);
