import { sleep } from '../../src/kube/deadline.ts';
import { pods } from '../../src/kube/resources.ts';
import { type Soak, systemNamespace } from './soak-setting.ts';

/** The metrics of our own processes, read again and again. */

export interface Sample {
  readonly atMs: number;
  /** Its name and start: a process that was started anew is another. */
  readonly process: string;
  readonly pod: string;
  readonly part: 'operator' | 'agent';
  readonly values: ReadonlyMap<string, number>;
}

export interface Samples {
  readonly all: readonly Sample[];
  /** Of every process of ours that answers now. */
  readonly now: () => Promise<readonly Sample[]>;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

const periodMs = 10_000;
const answerTimeoutMs = 2000;

export const createSamples = (soak: Soak): Samples => {
  const all: Sample[] = [];
  const now = (): Promise<readonly Sample[]> => readAll(soak);
  return {
    all,
    now,
    run: async (signal) => {
      while (!signal.aborted) {
        all.push(...(await now().catch(() => [])));
        await sleep(periodMs, signal);
      }
    },
  };
};

const readAll = async (soak: Soak): Promise<readonly Sample[]> => {
  const { items } = await soak.client.list(pods, { namespace: systemNamespace }, { signal: soak.signal });
  const read = await Promise.all(
    items.map(async ({ metadata, status }) => {
      if (status?.podIP === undefined || metadata?.name === undefined) return [];
      const part = metadata.name.startsWith('connectionbudget-agent') ? 'agent' : 'operator';
      return readOne(soak, { part, pod: metadata.name, ip: status.podIP });
    }),
  );
  return read.flat();
};

interface Asked {
  readonly part: Sample['part'];
  readonly pod: string;
  readonly ip: string;
}

const ports: Readonly<Record<Sample['part'], number>> = { operator: 8080, agent: 8081 };

/** None where it does not answer: it may be stopped, or gone. */
const readOne = async ({ nowMs, signal }: Soak, { part, pod, ip }: Asked): Promise<readonly Sample[]> => {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]);
    const answer = await fetch(`http://${ip}:${ports[part]}/metrics`, { signal: limit });
    const values = parseMetrics(await answer.text());
    const started = values.get('process_start_time_seconds') ?? 0;
    return [{ atMs: nowMs(), process: `${pod}@${started}`, pod, part, values }];
  } catch {
    return [];
  }
};

/** `name{label="value"} 5` and `name 5`, by what is before the number. */
export const parseMetrics = (text: string): ReadonlyMap<string, number> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );

/** A metric's values over all of its labels. */
export const sumOf = (values: ReadonlyMap<string, number>, name: string): number =>
  [...values].filter(([key]) => key === name || key.startsWith(`${name}{`)).reduce((sum, [, value]) => sum + value, 0);
