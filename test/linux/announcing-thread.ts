/** The body of the namespace worker, which says by the environment data `loading` when it begins to load its native module. */
import { getEnvironmentData } from 'node:worker_threads';

const loading = getEnvironmentData('loading') as unknown as Int32Array;
const dlopen = process.dlopen.bind(process);
process.dlopen = (...all) => {
  Atomics.add(loading, 0, 1);
  dlopen(...all);
};
await import('../../src/linux/namespace-worker-thread.ts');
