import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { type ElectionReport, type LeaderElection, runAsLeader, type Term } from '../../src/kube/lease.ts';
import { configMaps, leases } from '../../src/kube/resources.ts';
import { startFaultProxy } from '../kube/fault-proxy.ts';
import { shortTiming } from '../kube/short-timing.ts';
import { until } from '../kube/until.ts';
import { call, configMap, configMapTarget, namespace, useKubeSetting } from './kube-setting.ts';

vi.setConfig({ testTimeout: 60_000 });

const setting = useKubeSetting();

/** A candidate that, while it leads, waits for the end of its term, and writes down when terms begin and end. */
function candidate(name: string, identity: string, options: Partial<LeaderElection> = {}) {
  const controller = new AbortController();
  const terms: { readonly fromMs: number; readonly term: Term; untilMs: number }[] = [];
  const reports: ElectionReport[] = [];
  const ended = runAsLeader({
    config: readKubeConfig(setting.server.kubeconfig),
    namespace,
    name,
    identity,
    timing: shortTiming,
    lead: async (term) => {
      const entry = { fromMs: performance.now(), term, untilMs: Infinity };
      terms.push(entry);
      await once(term.signal, 'abort');
      entry.untilMs = performance.now();
    },
    report: (report) => reports.push(report),
    signal: controller.signal,
    ...options,
  });
  onTestFinished(async () => {
    controller.abort();
    await ended.catch(() => undefined);
  });
  return { terms, reports, ended, stop: () => controller.abort() };
}

const holderOf = async (name: string) =>
  (await setting.direct.get({ resource: leases, namespace, name }, call)).spec?.holderIdentity;

test('of three candidates one leads, and gives the Lease back when it stops, so that the next need not wait', async () => {
  const all = ['a', 'b', 'c'].map((identity) => candidate('three', identity));
  const leading = () => all.filter(({ terms }) => terms.at(-1)?.untilMs === Infinity).length;
  await until(leading, 1);
  await pause(3_500);
  expect(leading()).toBe(1);
  const first = all.find(({ terms }) => terms.length === 1);
  first!.stop();
  await first!.ended;
  const stoppedMs = performance.now();
  await until(leading, 1);
  const terms = all.flatMap((one) => one.terms).toSorted((a, b) => a.fromMs - b.fromMs);
  expect(terms).toHaveLength(2);
  expect(terms[1]!.fromMs).toBeGreaterThan(terms[0]!.untilMs);
  expect(terms[1]!.fromMs - stoppedMs).toBeLessThan(shortTiming.leaseDurationMs / 2);
  expect(first!.reports.map(({ type }) => type)).toContain('Released');
});

test('a leader that is cut off stops before another one begins, and stands again when it is back', async () => {
  const proxy = await startFaultProxy(setting.server.kubeconfig);
  onTestFinished(() => proxy.close());
  const cutOff = candidate('cut', 'a', { config: proxy.config });
  await until(() => cutOff.terms.length, 1);
  const next = candidate('cut', 'b');
  await pause(1_000);
  proxy.setDown(true);
  await until(() => next.terms.length, 1);
  const marginMs = next.terms[0]!.fromMs - cutOff.terms[0]!.untilMs;
  expect(marginMs).toBeGreaterThanOrEqual((shortTiming.leaseDurationMs - shortTiming.renewDeadlineMs) * 0.9);
  expect(cutOff.terms[0]!.term.holds()).toBe(false);
  proxy.setDown(false);
  await until(() => cutOff.reports.at(-1)?.type, 'Following');
  next.stop();
  await until(() => cutOff.terms.length, 2);
});

test('a short failure of the API server ends no term', async () => {
  const proxy = await startFaultProxy(setting.server.kubeconfig);
  onTestFinished(() => proxy.close());
  const { terms, reports } = candidate('short', 'a', { config: proxy.config });
  await until(() => terms.length, 1);
  proxy.answerNext(/PUT .*leases/, { status: 503 });
  proxy.answerNext(/PUT .*leases/, { status: 429, headers: { 'retry-after': '60' } });
  await until(() => reports.filter(({ type }) => type === 'CallFailed').length, 2);
  await pause(shortTiming.renewDeadlineMs);
  expect(terms.map(({ term }) => term.holds())).toEqual([true]);
});

test('a leader whose Lease somebody else took or deleted stops at its next renewal', async () => {
  const { terms } = candidate('taken', 'a');
  const target = { resource: leases, namespace, name: 'taken' };
  await until(() => terms.length, 1);
  await setting.direct.patch(target, { spec: { holderIdentity: 'thief', leaseDurationSeconds: 1 } }, call);
  await until(() => terms.length, 2);
  await setting.direct.delete(target, call);
  await until(() => terms.length, 3);
  expect(terms[0]!.untilMs).toBeLessThan(terms[1]!.fromMs);
  expect(terms[1]!.untilMs).toBeLessThan(terms[2]!.fromMs);
});

test('the Lease is held until a slow leader has really stopped', async () => {
  const stopping = Promise.withResolvers<void>();
  const slow = candidate('slow', 'a', { lead: () => stopping.promise });
  await until(() => slow.reports.at(-1)?.type, 'Leading');
  const next = candidate('slow', 'b');
  slow.stop();
  await pause(shortTiming.leaseDurationMs * 1.5);
  expect(next.terms).toEqual([]);
  stopping.resolve();
  await until(() => next.terms.length, 1);
});

test('what the leader throws is thrown, after the Lease was given back', async () => {
  const { ended } = candidate('throws', 'a', { lead: () => Promise.reject(new Error('broken')) });
  await expect(ended).rejects.toThrow('broken');
  expect(await holderOf('throws')).toBe('');
});

test('a leader whose work is done gives the Lease back', async () => {
  const { ended } = candidate('done', 'a', { lead: () => Promise.resolve() });
  await ended;
  expect(await holderOf('done')).toBe('');
});

test('a leader that was stopped and continued writes nothing once another one leads', async () => {
  await setting.direct.create(configMaps, configMap('written', ''), call);
  const value = async () => (await setting.direct.get(configMapTarget('written'), call)).data?.['value'];
  const program = fileURLToPath(new URL('../kube/leader-process.ts', import.meta.url));
  const child = spawn(process.execPath, [program, setting.server.kubeconfig, namespace, 'stopped', 'written'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  await until(value, 'stale');
  child.kill('SIGSTOP');
  const next = candidate('stopped', 'b');
  await until(() => next.terms.length, 1);
  await setting.direct.patch(configMapTarget('written'), { data: { value: 'fresh' } }, call);
  child.kill('SIGCONT');
  await pause(500);
  expect(await value()).toBe('fresh');
  await until(() => output.trim().split('\n').slice(-3), ['Lost', 'LeadFailed', 'Following']);
  expect(next.terms.map(({ term }) => term.holds())).toEqual([true]);
});
