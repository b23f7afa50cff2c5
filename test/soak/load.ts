import { enabledLabel } from '../../src/api/names.ts';
import { budgets } from '../../src/controller/resources.ts';
import { sleep } from '../../src/kube/deadline.ts';
import { endpointSlices, namespaces, pods, services } from '../../src/kube/resources.ts';
import {
  apps,
  budgetManifest,
  budgetNames,
  namespaceManifest,
  podManifest,
  type PodName,
  refusedBudget,
  serviceManifest,
  sizes,
  sliceManifest,
} from './objects.ts';
import type { PodStarts } from './pod-starts.ts';
import { type Random, randomOf } from './random.ts';
import { refusalCauseOf } from './refusals.ts';
import { namespaceNames, type Soak, soakNamespaces } from './soak-setting.ts';

/** What the cluster's users do meanwhile: pods come and go, budgets, services and labels change. */

export interface LoadOptions {
  readonly soak: Soak;
  readonly starts: PodStarts;
  /** Whether a fault of ours or of the server was lately: then a budget may be refused, for its webhook is to fail closed. */
  readonly mayRefuseBudgets: () => boolean;
  /** Ends the load; the pods that run stay. */
  readonly signal: AbortSignal;
}

const mostAlive = 18;
/** The node starts as many at a time; more would wait for each other. */
const mostStarting = 4;
const podPeriodMs = 1000;
const changePeriodMs = 2500;

export const makeGround = async ({ client, signal }: Soak): Promise<void> => {
  for (const name of soakNamespaces)
    await client.create(namespaces, namespaceManifest(name, name !== namespaceNames.plain), { signal });
  for (const namespace of [namespaceNames.planned, namespaceNames.sometimes]) {
    await client.create(services, serviceManifest(namespace), { signal });
    await client.create(endpointSlices, sliceManifest(namespace, 4), { signal });
    for (const name of budgetNames) await client.create(budgets, budgetManifest(namespace, name, 0), { signal });
  }
};

export const runLoad = async (options: LoadOptions): Promise<void> => {
  const { seed } = options.soak;
  await Promise.all([
    everyPeriod(options, podPeriodMs, podStep(options, randomOf(seed, 'pods'))),
    everyPeriod(options, changePeriodMs, changeStep(options, randomOf(seed, 'changes'))),
  ]);
};

const everyPeriod = async ({ signal }: LoadOptions, periodMs: number, step: () => Promise<void>): Promise<void> => {
  while (!signal.aborted) {
    const untilMs = performance.now() + periodMs;
    await step();
    await sleep(Math.max(0, untilMs - performance.now()), signal);
  }
};

const podStep = (options: LoadOptions, random: Random): (() => Promise<void>) => {
  const { starts } = options;
  let number = 0;
  return async () => {
    for (const pod of starts.stray()) await removePod(options, pod);
    const alive = starts.alive();
    const oldest = alive.find(({ startMs, isLate }) => startMs !== undefined || isLate);
    if (alive.length >= mostAlive && oldest !== undefined) await removePod(options, oldest);
    const starting = alive.filter(({ startMs, isLate }) => startMs === undefined && !isLate);
    if (alive.length >= mostAlive || starting.length >= mostStarting) return;
    number += 1;
    const app = random.pick(apps);
    const { planned, sometimes, plain } = namespaceNames;
    const namespace = random.pick([planned, planned, planned, planned, sometimes, plain]);
    await createPod(options, { namespace, name: `${app}-${number}`, app });
  };
};

/** An answer that got lost may have been a yes: then the pod is a stray one. */
const createPod = async ({ soak, starts }: LoadOptions, pod: PodName): Promise<void> => {
  const { client, journal, nowMs, signal } = soak;
  const createdAtMs = nowMs();
  try {
    await client.create(pods, podManifest(pod), { signal });
    starts.created(pod, createdAtMs);
    journal.count('pods created');
  } catch (error) {
    const cause = refusalCauseOf(error);
    journal.count(`pod refused: ${cause}`);
    if (cause === 'ServerAway' || signal.aborted) return;
    journal.violation('pod refused because of us', `${pod.namespace}/${pod.name}: ${String(error)}`);
  }
};

const removePod = async ({ soak, starts }: LoadOptions, pod: Pick<PodName, 'namespace' | 'name'>): Promise<void> => {
  const { client, journal, signal } = soak;
  const { namespace, name } = pod;
  try {
    await client.delete({ resource: pods, namespace, name }, { signal });
  } catch (error) {
    const cause = refusalCauseOf(error);
    journal.count(`pod not deleted: ${cause}`);
    if (cause !== 'Raced') return;
  }
  starts.deleted(pod);
};

const badBudget = 'bad budget';

interface Change {
  readonly what: string;
  readonly make: () => Promise<unknown>;
}

const changeStep = (options: LoadOptions, random: Random): (() => Promise<void>) => {
  const { soak } = options;
  return async () => {
    const { what, make } = random.pick(changes(soak, random));
    try {
      await make();
      soak.journal.count(what);
      if (what === badBudget) soak.journal.violation('bad budget admitted', 'its selector has no valid label key');
    } catch (error) {
      changeRefused(options, what, error);
    }
  };
};

const changes = ({ client, signal }: Soak, random: Random): readonly Change[] => {
  const namespace = random.pick([namespaceNames.planned, namespaceNames.sometimes]);
  const name = random.pick(budgetNames);
  const object = budgetManifest(namespace, name, Math.floor(random.between(0, sizes)));
  const target = { resource: budgets, namespace, name };
  const change: Change = {
    what: 'budget changed',
    make: () => client.apply(target, object, { signal, fieldManager: 'soak', force: true }),
  };
  const removal: Change = { what: 'budget deleted', make: () => client.delete(target, { signal }) };
  return [change, change, change, change, removal, ...otherChanges({ client, signal }, namespace, random)];
};

const otherChanges = (
  { client, signal }: Pick<Soak, 'client' | 'signal'>,
  namespace: string,
  random: Random,
): readonly Change[] => {
  const { endpoints = [], metadata } = sliceManifest(namespace, Math.floor(random.between(0, 9)));
  const slice = { resource: endpointSlices, namespace, name: metadata?.name ?? '' };
  const label = random.pick(['true', null]);
  const labels = { metadata: { labels: { [enabledLabel]: label } } };
  const sometimes = { resource: namespaces, name: namespaceNames.sometimes };
  return [
    { what: 'endpoints changed', make: () => client.patch(slice, { endpoints }, { signal }) },
    { what: 'namespace labelled or not', make: () => client.patch(sometimes, labels, { signal }) },
    { what: badBudget, make: () => client.create(budgets, refusedBudget(namespace), { signal }) },
  ];
};

const changeRefused = ({ soak, mayRefuseBudgets }: LoadOptions, what: string, error: unknown): void => {
  if (soak.signal.aborted) return;
  const cause = refusalCauseOf(error);
  soak.journal.count(`${what}, refused: ${cause}`);
  if (cause === 'Other' || (cause === 'OurWebhook' && !mayRefuseBudgets()))
    soak.journal.violation('budget refused without a fault', `${what}: ${String(error)}`);
};
