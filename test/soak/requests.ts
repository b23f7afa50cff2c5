import { sleep } from '../../src/kube/deadline.ts';
import { parseMetrics } from './samples.ts';
import type { Soak } from './soak-setting.ts';

/** What the API server was asked by everybody. A server that is killed takes with it what it counted since the last look. */

export interface Requests {
  /** At least so many, by verb. */
  readonly byVerb: () => ReadonlyMap<string, number>;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

const periodMs = 30_000;

export const countRequests = (soak: Soak): Requests => {
  const lives = new Map<number, ReadonlyMap<string, number>>();
  const look = async (): Promise<void> => {
    const values = await readServerMetrics(soak);
    lives.set(values.get('process_start_time_seconds') ?? 0, requestsIn(values));
  };
  return {
    byVerb: () => sumOfLives([...lives.values()]),
    run: async (signal) => {
      while (!signal.aborted) {
        await look().catch(() => undefined);
        await sleep(periodMs, signal);
      }
      await look().catch(() => undefined);
    },
  };
};

/** Through the proxy, which has the administrator's certificate. */
const readServerMetrics = async ({ proxy, signal }: Soak): Promise<ReadonlyMap<string, number>> => {
  const url = `${proxy.config.getCurrentCluster()?.server ?? ''}/metrics`;
  const answer = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(5000)]) });
  return parseMetrics(await answer.text());
};

const requestsIn = (values: ReadonlyMap<string, number>): ReadonlyMap<string, number> => {
  const byVerb = new Map<string, number>();
  for (const [key, value] of values) {
    const verb = /^apiserver_request_total\{.*verb="([A-Z]+)"/.exec(key)?.[1];
    if (verb !== undefined) byVerb.set(verb, (byVerb.get(verb) ?? 0) + value);
  }
  return byVerb;
};

const sumOfLives = (lives: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> => {
  const sum = new Map<string, number>();
  for (const [verb, count] of lives.flatMap((life) => [...life])) sum.set(verb, (sum.get(verb) ?? 0) + count);
  return sum;
};
