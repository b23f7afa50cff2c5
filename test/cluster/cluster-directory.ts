import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { cacheDirectory } from './lab/environment.ts';

/** The folder of this checkout's one cluster: outside the checkout, the same from every command. */
export function clusterDirectory(): string {
  const checkout = join(import.meta.dirname, '..', '..');
  const name = createHash('sha256').update(checkout).digest('hex').slice(0, 12);
  return join(cacheDirectory(), 'clusters', name);
}
