import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { patienceMs } from '../../../src/controller/patience.ts';
import { projectPod } from '../../../src/controller/projections.ts';
import { budgets, type CustomObject } from '../../../src/controller/resources.ts';
import { sleep } from '../../../src/kube/deadline.ts';
import { keyOf, pods } from '../../../src/kube/resources.ts';
import { waitFor } from '../../cluster/lab/wait.ts';
import { operatorIsBack } from '../faults/recovery.ts';
import { type Samples, sumOf } from '../samples.ts';
import { isOfSoak, type Soak, systemNamespace } from '../soak-setting.ts';

/** Whether operators that have seen nothing before would write what is there: then the new leader writes nothing. */

const restartTimeoutMs = 90_000;

/** Budgets whose plan rests on endpoints: fewer of them hold for ten minutes, which a new operator cannot know. */
const restsOnMemory = /\/targets$/;

export const statusDifferences = async (soak: Soak, samples: Samples): Promise<readonly string[]> => {
  await podsAreGrownUp(soak);
  const first = [...(await changedByRestart(soak, samples))].filter(([key]) => !restsOnMemory.test(key));
  const second = [...(await changedByRestart(soak, samples))];
  return [...first, ...second].map(([key, fields]) => `${key}: ${fields}`);
};

/** What a status says of a pod changes by itself when the pod is 30 s old, and the leader has to write that. */
const grownUpMs = patienceMs + 5000;

const podsAreGrownUp = async ({ client, signal }: Soak): Promise<void> => {
  const { items } = await client.list(pods, {}, { signal });
  const ofLoad = items.filter(({ metadata }) => isOfSoak(metadata?.namespace ?? ''));
  const youngestMs = Math.max(0, ...ofLoad.map((pod) => Date.parse(projectPod(pod)?.startedAt ?? '') || 0));
  await sleep(Math.max(0, youngestMs + grownUpMs - Date.now()), signal);
};

type Statuses = ReadonlyMap<string, CustomObject>;

const readStatuses = async ({ client, signal }: Soak): Promise<Statuses> => {
  const { items } = await client.list(budgets, {}, { signal });
  return new Map(items.map((object) => [keyOf(object.metadata ?? {}), object]));
};

/** By key of each budget whose status is another one, which fields of it are. */
const changedByRestart = async (soak: Soak, samples: Samples): Promise<ReadonlyMap<string, string>> => {
  const before = await readStatuses(soak);
  const replaced = await replaceReplicas(soak);
  await waitFor('a new leader has looked at every budget', () => hasLooked(samples, replaced, before.size), {
    signal: soak.signal,
    timeoutMs: restartTimeoutMs,
    intervalMs: 500,
  });
  await operatorIsBack(soak);
  const after = await readStatuses(soak);
  const changed = [...after].map(([key, object]) => [key, changedFields(before.get(key), object)] as const);
  return new Map(changed.filter(([, fields]) => fields !== ''));
};

/** Peaks of use are written with a delay of up to half a minute, which a new leader need not keep. */
const written = z.looseObject({ usage: z.unknown().optional() }).catch({});

const changedFields = (before: CustomObject | undefined, after: CustomObject): string => {
  const [{ usage: _usageBefore, ...was }, { usage: _usageAfter, ...is }] = [
    written.parse(before?.status),
    written.parse(after.status),
  ];
  const fields = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  return fields
    .filter((field) => !isDeepStrictEqual(was[field], is[field]))
    .map((field) => `${field} ${JSON.stringify(was[field])} → ${JSON.stringify(is[field])}`)
    .join('; ');
};

/** Both at once, so that none tells the other what it has seen; gives the names of those that are to go. */
const replaceReplicas = async ({ client, signal }: Soak): Promise<ReadonlySet<string>> => {
  const query = { namespace: systemNamespace, labelSelector: 'app.kubernetes.io/component=controller' };
  const { items } = await client.list(pods, query, { signal });
  const names = items.flatMap(({ metadata }) => metadata?.name ?? []);
  for (const name of names) await client.delete({ resource: pods, namespace: systemNamespace, name }, { signal });
  return new Set(names);
};

const hasLooked = async (samples: Samples, replaced: ReadonlySet<string>, count: number): Promise<boolean> => {
  const now = await samples.now();
  const leader = now.find(({ pod, values }) => !replaced.has(pod) && values.get('connectionbudget_leader_info') === 1);
  if (leader === undefined) return false;
  const looked = sumOf(leader.values, 'connectionbudget_reconcile_duration_seconds_count');
  return looked >= count && sumOf(leader.values, 'connectionbudget_queue_budgets') === 0;
};
