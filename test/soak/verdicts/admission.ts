import { planAnnotation } from '../../../src/api/names.ts';
import { budgets } from '../../../src/controller/resources.ts';
import { collectionPath, type KubeObject, pods, type Resource } from '../../../src/kube/resources.ts';
import { budgetManifest, podManifest } from '../objects.ts';
import { namespaceNames, type Soak } from '../soak-setting.ts';

/** Whether the webhook answers again, by dry runs; several, for each replica has to. */

const attempts = 6;

/** The load may have deleted the budget last: it is there first. */
export const admissionFaults = async (soak: Soak): Promise<readonly string[]> => {
  const target = { resource: budgets, namespace: namespaceNames.planned, name: 'limits' };
  const budget = budgetManifest(target.namespace, 'limits', 0);
  await soak.client.apply(target, budget, { signal: soak.signal, fieldManager: 'soak', force: true });
  const faults: string[] = [];
  for (let attempt = 1; attempt <= attempts; attempt += 1) faults.push(...(await oneAttempt(soak, attempt)));
  return [...new Set(faults)];
};

const oneAttempt = async (soak: Soak, attempt: number): Promise<readonly string[]> => {
  const namespace = namespaceNames.planned;
  try {
    const pod = await dryRun(soak, pods, podManifest({ namespace, name: `dry-run-${attempt}`, app: 'limits' }));
    const isPlanned = pod.metadata?.annotations?.[planAnnotation] !== undefined;
    const { metadata, ...budget } = budgetManifest(namespace, 'limits', attempt);
    await dryRun(soak, budgets, { ...budget, metadata: { ...metadata, name: `dry-run-${attempt}` } });
    return isPlanned ? [] : ['a pod is admitted without a plan'];
  } catch (error) {
    return [`a dry run is refused: ${String(error)}`];
  }
};

const dryRun = async <T extends KubeObject>(
  { client, signal }: Soak,
  resource: Resource<T>,
  object: T,
): Promise<KubeObject> => {
  const path = collectionPath(resource, object.metadata?.namespace);
  const { group, version, kind } = resource;
  const body = { ...object, apiVersion: group === '' ? version : `${group}/${version}`, kind };
  const answer = await client.transport.send({ method: 'POST', path, query: { dryRun: 'All' }, body }, { signal });
  return answer as KubeObject;
};
