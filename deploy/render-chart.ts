import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export type RenderOptions = {
  /** The program helm. */
  readonly helm: string;
  /** The folder of the chart. */
  readonly chart: string;
  readonly namespace: string;
  /** Further arguments, such as --set. */
  readonly extraArguments?: readonly string[];
  readonly signal: AbortSignal;
};

export const installNamespace = 'connectionbudget-system';
const releaseName = 'connectionbudget';

/** The oldest version that the chart supports: what it renders must not depend on what helm was built with. */
const kubernetesVersion = '1.30.0';

/** The objects of the chart as helm would install them, in helm's order. Rejects with helm's own message. */
export async function renderChart(options: RenderOptions): Promise<string> {
  const { helm, chart, namespace, extraArguments = [], signal } = options;
  const fixed = ['template', releaseName, chart, '--namespace', namespace, '--kube-version', kubernetesVersion];
  const { stdout } = await promisify(execFile)(helm, [...fixed, ...extraArguments], { signal, maxBuffer: 1 << 24 });
  return stdout;
}

const header = `# Generated from deploy/chart by \`npm run generate\`: the chart with its defaults. Do not edit.
#   kubectl apply --server-side -f deploy/install.yaml        (--force-conflicts where helm has installed it before)
# \`kubectl delete -f\` takes the CustomResourceDefinitions away, and with them every ConnectionBudget.
`;

/** The agent is what needs more than Pod Security's lower levels grant (docs/security.md). */
const namespaceObject = `---
apiVersion: v1
kind: Namespace
metadata:
  name: ${installNamespace}
  labels:
    pod-security.kubernetes.io/enforce: privileged
`;

export async function installManifest(options: Omit<RenderOptions, 'namespace'>): Promise<string> {
  return `${header}${namespaceObject}${await renderChart({ ...options, namespace: installNamespace })}`;
}
