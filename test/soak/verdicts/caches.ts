import { differencesBetween, type SoakCaches } from '../caches.ts';
import type { Samples } from '../samples.ts';
import type { Soak } from '../soak-setting.ts';

/** Caches against what the server lists in the same moment; what changes in between is seen at the next look. */

type Asking = Pick<Soak, 'client' | 'signal'>;

export const cacheDifferences = async (soak: Asking, caches: SoakCaches): Promise<readonly string[]> => {
  const compared = await Promise.all(
    caches.kinds.map(async ({ onServer, cached }) =>
      differencesBetween(await onServer(soak.client, soak.signal), cached()),
    ),
  );
  return compared.flat();
};

const replicas = 2;

/** Each replica of the operator says of each kind how many objects it holds and which (their digest). */
export const replicaDifferences = async (
  soak: Asking,
  caches: SoakCaches,
  samples: Pick<Samples, 'now'>,
): Promise<readonly string[]> => {
  const operators = (await samples.now()).filter(({ part }) => part === 'operator');
  const missing = operators.length === replicas ? [] : [`${operators.length} replicas answer, not ${replicas}`];
  const listed = await Promise.all(caches.kinds.map(({ onServer }) => onServer(soak.client, soak.signal)));
  const differences = operators.flatMap(({ pod, values }) =>
    listed.flatMap(({ plural, objects, digest }) => {
      const held = values.get(`connectionbudget_watch_cache_objects{resource="${plural}"}`);
      const isEqual = values.get(`connectionbudget_watch_cache_digest{resource="${plural}"}`) === digest;
      return isEqual && held === objects.size
        ? []
        : [`${pod} holds ${held} ${plural}, the server ${objects.size}; digests ${isEqual ? 'equal' : 'differ'}`];
    }),
  );
  return [...missing, ...differences];
};
