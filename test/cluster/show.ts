import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { type Cluster, kubectl } from './lab/cluster.ts';
import { waitFor } from './lab/wait.ts';

/** What a person wants to see of pods that hold connections: their limits, their sysctls, and how many they hold. */

const probeReport = z.object({
  held: z.int(),
  wanted: z.int(),
  errnoName: z.string(),
  /** Whether any of its processes still takes more. */
  active: z.boolean(),
  workers: z.array(z.object({ softNofile: z.int(), hardNofile: z.int(), descriptors: z.int() })),
  sysctls: z.record(z.string(), z.string()),
});
export type ProbeReport = z.output<typeof probeReport>;

export interface ProbePod {
  readonly namespace: string;
  /** Its label `app`. */
  readonly app: string;
}

const podList = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string(), deletionTimestamp: z.string().optional() }),
      status: z.object({ podIP: z.string().optional(), phase: z.string() }),
    }),
  ),
});

const runningPod = async (cluster: Cluster, { namespace, app }: ProbePod, signal: AbortSignal) => {
  const text = await kubectl(cluster, ['get', 'pods', '-n', namespace, '-l', `app=${app}`, '-o', 'json'], { signal });
  const pods = podList.parse(JSON.parse(text)).items;
  return pods.find(({ metadata, status }) => status.phase === 'Running' && metadata.deletionTimestamp === undefined);
};

/** Asks the program itself, over the node's network. */
export const reportOf = async (cluster: Cluster, pod: ProbePod, signal: AbortSignal): Promise<ProbeReport> => {
  const running = await runningPod(cluster, pod, signal);
  if (running?.status.podIP === undefined) throw new Error(`no running pod of ${pod.namespace}/${pod.app}`);
  const answer = await fetch(`http://${running.status.podIP}:8081/`, { signal });
  return probeReport.parse(await answer.json());
};

/** Waits until the program holds what it wants, or has stopped growing for three seconds; gives its last report. */
export const settledReport = async (
  cluster: Cluster,
  pod: ProbePod,
  { signal, onHeld }: { readonly signal: AbortSignal; readonly onHeld: (held: number) => void },
): Promise<ProbeReport> => {
  const options = { signal, timeoutMs: 60_000, intervalMs: 500 };
  let report = await waitFor(`${pod.namespace}/${pod.app} reports`, () => reportOf(cluster, pod, signal), options);
  for (let still = 0; still < 3;) {
    await delay(1000, undefined, { signal });
    const next = await reportOf(cluster, pod, signal);
    still = next.held === report.held && next.held > 0 ? still + 1 : 0;
    report = next;
    onHeld(report.held);
    if (report.wanted > 0 && report.held >= report.wanted) break;
  }
  return report;
};

const thousands = new Intl.NumberFormat('en-US');

/** A client is done when it holds what it wants; a server stops when none of its processes accepts any more. */
const hasStopped = ({ wanted, held, active, errnoName }: ProbeReport): boolean =>
  errnoName !== '' && (wanted > 0 ? held < wanted : !active);

/** One line per pod: what it holds, its limits and the sysctls that matter here. */
export const podLine = ({ namespace, app }: ProbePod, report: ProbeReport): string => {
  const [first] = report.workers;
  const stopped = hasStopped(report) ? ` (stopped by ${report.errnoName})` : '';
  const nofile = `${first?.softNofile ?? 0} / ${first?.hardNofile ?? 0}`;
  const range = report.sysctls['net.ipv4.ip_local_port_range'] ?? '';
  const somaxconn = report.sysctls['net.core.somaxconn'] ?? '';
  const name = `${namespace}/${app}`.padEnd(28);
  return `${name} ${thousands.format(report.held).padStart(8)}${stopped.padEnd(22)} ${nofile.padEnd(16)} ${range.padEnd(13)} ${somaxconn}`;
};

export const podHeader = `${'pod'.padEnd(28)} ${'connections'.padEnd(30)} ${'nofile soft/hard'.padEnd(16)} ${'port range'.padEnd(13)} somaxconn`;
