/**
 * npm run cluster:up — brings up the local cluster with the operator installed and the namespace default enabled; ends with
 * KUBECONFIG=… and CONTAINERD_ADDRESS=… on stdout.
 */
import { clusterDirectory } from './cluster-directory.ts';
import { interruptible, report } from './command-line.ts';
import { installOperator } from './install-operator.ts';
import { clusterUp, kubectl } from './lab/cluster.ts';
import { clusterDown } from './lab/cluster-down.ts';

await interruptible(async (signal) => {
  const options = { dir: clusterDirectory(), signal, onProgress: report };
  try {
    const cluster = await clusterUp(options);
    await installOperator(cluster, { by: 'Manifests' }, options);
    const label = ['label', 'namespace', 'default', 'connectionbudget.io/enabled=true', '--overwrite'];
    await kubectl(cluster, label, { signal });
    process.stdout.write(`KUBECONFIG=${cluster.kubeconfig}\nCONTAINERD_ADDRESS=${cluster.containerdAddress}\n`);
  } catch (error) {
    if (signal.aborted) await clusterDown({ ...options, signal: AbortSignal.timeout(60_000) });
    throw error;
  }
});
