/** npm run cluster:up — brings up the local cluster; ends with KUBECONFIG=… and CONTAINERD_ADDRESS=… on stdout. */
import { clusterDirectory } from './cluster-directory.ts';
import { interruptible, report } from './command-line.ts';
import { clusterUp } from './lab/cluster.ts';
import { clusterDown } from './lab/cluster-down.ts';

await interruptible(async (signal) => {
  const options = { dir: clusterDirectory(), signal, onProgress: report };
  try {
    const cluster = await clusterUp(options);
    process.stdout.write(`KUBECONFIG=${cluster.kubeconfig}\nCONTAINERD_ADDRESS=${cluster.containerdAddress}\n`);
  } catch (error) {
    if (signal.aborted) await clusterDown({ ...options, signal: AbortSignal.timeout(60_000) });
    throw error;
  }
});
