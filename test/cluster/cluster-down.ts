/** npm run cluster:down — takes the local cluster away, whole or half-made. */
import { clusterDirectory } from './cluster-directory.ts';
import { interruptible, report } from './command-line.ts';
import { clusterDown } from './lab/cluster-down.ts';

await interruptible((signal) => clusterDown({ dir: clusterDirectory(), signal, onProgress: report }));
