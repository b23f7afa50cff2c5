import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runCommand } from '../../src/cli/program.ts';
import { clusterDirectory } from './cluster-directory.ts';
import { interruptible, report } from './command-line.ts';
import { installOperator } from './install-operator.ts';
import { type Cluster, clusterUp, kubectl } from './lab/cluster.ts';
import { clusterDown } from './lab/cluster-down.ts';
import { ensureRequirements, nodeRequirements } from './lab/debian.ts';
import { runningContainer } from './running-container.ts';
import { podHeader, podLine, type ProbePod, settledReport } from './show.ts';
import { showExistingCluster, showPlansInApiServer } from './start-without-node.ts';

/**
 * npm start — the whole of it on this machine: a plan at once, then a real cluster with the operator and the quickstart. A
 * terminal keeps the cluster until Ctrl-C; otherwise it goes when everything was shown.
 */

const examples = join(import.meta.dirname, '..', '..', 'examples');
const quickstart = join(examples, 'quickstart.yaml');

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const headline = (text: string): void => print(`\n== ${text}`);

const showPlan = async (name: string): Promise<void> => {
  const { stdout, stderr } = await runCommand(['plan', '-f', join(examples, `${name}.yaml`)]);
  print(stdout.trimEnd() + stderr);
};

const pods: readonly ProbePod[] = ['quickstart', 'quickstart-without'].flatMap((namespace) =>
  ['gateway', 'clients'].map((app) => ({ namespace, app })),
);

const showPods = async (cluster: Cluster, signal: AbortSignal): Promise<void> => {
  headline('The same two programs, with a budget and without, each asked to hold 29,000 connections');
  print(podHeader);
  for (const pod of pods) {
    const onHeld = (held: number): void => report(`${pod.namespace}/${pod.app} holds ${held}`);
    print(podLine(pod, await settledReport(cluster, pod, { signal, onHeld })));
  }
};

/** What is used of each limit in a pod that runs, and what is left. */
const showDoctor = async (cluster: Cluster, signal: AbortSignal): Promise<void> => {
  const labels = { 'pod.namespace': 'quickstart', 'container.name': 'clients' };
  const { pid } = await runningContainer(cluster, labels, signal);
  headline(`What is left in the pod of the clients: npm run -s connection-budget -- doctor --pid ${pid}`);
  const { stdout, stderr } = await runCommand(['doctor', '--pid', pid], { signal, writeProgress: () => undefined });
  print(stdout.trimEnd() + stderr);
};

const showBudgets = async (cluster: Cluster, signal: AbortSignal): Promise<void> => {
  const wait = ['wait', 'connectionbudgets', '--all', '-n', 'quickstart', '--for=condition=Ready', '--timeout=60s'];
  await kubectl(cluster, wait, { signal });
  headline('kubectl get connectionbudgets -n quickstart -o wide');
  print(await kubectl(cluster, ['get', 'connectionbudgets', '-n', 'quickstart', '-o', 'wide'], { signal }));
  headline('kubectl get connectionnodes');
  print(await kubectl(cluster, ['get', 'connectionnodes'], { signal }));
  headline('kubectl describe connectionbudget clients -n quickstart');
  print(await kubectl(cluster, ['describe', 'connectionbudget', 'clients', '-n', 'quickstart'], { signal }));
};

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });

const keepForTerminal = async ({ kubeconfig }: Cluster, signal: AbortSignal): Promise<void> => {
  if (!process.stdin.isTTY) return;
  headline(`The cluster stays until Ctrl-C: export KUBECONFIG=${kubeconfig}`);
  await untilAborted(signal);
};

/** The plan on this machine's kernel, before there is any Kubernetes: some ten seconds. */
const showProof = async (signal: AbortSignal): Promise<void> => {
  await ensureRequirements(nodeRequirements, { signal, onProgress: report });
  headline("The plan proven on this machine's kernel: npm run -s connection-budget -- prove -f FILE");
  const { stdout, stderr } = await runCommand(['prove', '-f', quickstart], { signal, writeProgress: () => undefined });
  print(stdout.trimEnd() + stderr);
};

const showNode = async (signal: AbortSignal): Promise<void> => {
  const progress = { signal, onProgress: report };
  await showProof(signal);
  const dir = `${clusterDirectory()}-start`;
  try {
    const cluster = await clusterUp({ dir, ...progress });
    await installOperator(cluster, { by: 'Manifests' }, progress);
    report('applying examples/quickstart.yaml');
    await kubectl(cluster, ['apply', '-f', '-'], { signal, input: readFileSync(quickstart, 'utf8') });
    await showPods(cluster, signal);
    await showDoctor(cluster, signal);
    await showBudgets(cluster, signal);
    await keepForTerminal(cluster, signal);
  } finally {
    await clusterDown({ dir, signal: AbortSignal.timeout(60_000), onProgress: report });
  }
};

const { values } = parseArgs({ options: { kubeconfig: { type: 'string' }, yes: { type: 'boolean', default: false } } });

await interruptible(async (signal) => {
  headline('What a pod needs, computed without a cluster: npm run -s connection-budget -- plan -f FILE');
  await showPlan('mqtt-broker');
  print('');
  await showPlan('quickstart');
  const show = { signal, onProgress: report, print, quickstart };
  if (values.kubeconfig !== undefined)
    await showExistingCluster({ ...show, kubeconfig: values.kubeconfig, yes: values.yes });
  else if (process.platform === 'linux' && process.getuid?.() === 0) await showNode(signal);
  else await showPlansInApiServer(show);
});
