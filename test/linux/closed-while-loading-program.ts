/** Closes a namespace worker again and again while its thread loads its native module; prints how many closed in time. */
import { setEnvironmentData } from 'node:worker_threads';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';

const workerUrl = new URL('./announcing-thread.ts', import.meta.url);
const loading = new Int32Array(new SharedArrayBuffer(4));
setEnvironmentData('loading', loading);

let closed = 0;
for (let round = 0; round < 40; round++) {
  const worker = createNamespaceWorker({ workerUrl, signal: new AbortController().signal });
  const run = worker.run('/proc/self/ns/net', []).catch(({ kind }: { kind: string }) => kind);
  while (Atomics.load(loading, 0) <= round) await new Promise(setImmediate);
  const until = performance.now() + (round % 20) / 4;
  while (performance.now() < until);
  worker.close();
  if ((await run) === 'Aborted') closed += 1;
}
console.log(JSON.stringify(closed));
