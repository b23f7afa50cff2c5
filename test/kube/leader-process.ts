/**
 * A candidate in a process of its own, so that a test can stop and continue it: node leader-process.ts KUBECONFIG
 * NAMESPACE LEASE CONFIGMAP. While it leads it writes "stale" into the ConfigMap again and
 * again, and it does not heed its term's signal: only the guard of its client ends that.
 */
import { createKubeClient, writingOnlyWhile } from '../../src/kube/client.ts';
import { sleep } from '../../src/kube/deadline.ts';
import { readKubeConfig } from '../../src/kube/kube-config.ts';
import { runAsLeader } from '../../src/kube/lease.ts';
import { configMaps } from '../../src/kube/resources.ts';
import { shortTiming } from './short-timing.ts';

const [kubeconfig = '', namespace = '', lease = '', name = ''] = process.argv.slice(2);
const config = readKubeConfig(kubeconfig);
const client = createKubeClient(config);
const { signal } = new AbortController();

await runAsLeader({
  config,
  namespace,
  name: lease,
  identity: 'child',
  timing: shortTiming,
  signal,
  report: ({ type }) => process.stdout.write(`${type}\n`),
  lead: async (term) => {
    const guarded = writingOnlyWhile(term.holds, client);
    const target = { resource: configMaps, namespace, name };
    for (;;) {
      await guarded.patch(target, { data: { value: 'stale' } }, { signal });
      // Long beside the moment between the guard's last question and the system call, in which a stop is not noticed.
      await sleep(100, signal);
    }
  },
});
