import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectionBudgetCrd, connectionNodeCrd } from '../../src/api/crd.ts';
import { startApiServer } from './lab/api-server.ts';
import { ensureComponents } from './lab/build.ts';
import { run } from './lab/command.ts';
import type { Progress } from './lab/debian.ts';

/** npm start where no node can be run: the API server with the controller beside it, or a cluster that is there already. */

export interface Show extends Progress {
  readonly print: (text: string) => void;
  /** The manifest whose budgets are shown. */
  readonly quickstart: string;
}

type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

const kubectlFor = async (kubeconfig: string, show: Show): Promise<Kubectl> => {
  const paths = await ensureComponents(['kubectl'], show);
  return (args, input = '') =>
    run(paths('kubectl'), ['--kubeconfig', kubeconfig, ...args], { signal: show.signal, input });
};

const showBudgets = async (kubectl: Kubectl, { print }: Show): Promise<void> => {
  const feasible = ['--for=condition=Feasible', '--timeout=60s', '-n', 'quickstart'];
  await kubectl(['wait', 'connectionbudgets', '--all', ...feasible]);
  print(await kubectl(['get', 'connectionbudgets', '-n', 'quickstart', '-o', 'wide']));
  print(await kubectl(['describe', 'connectionbudget', 'clients', '-n', 'quickstart']));
};

const operator = join(import.meta.dirname, '..', '..', 'src', 'bin', 'operator.ts');

/** The operator as a process of this machine; its webhook listens but nobody calls it here. */
const startOperator = (kubeconfig: string, { signal }: Show) => {
  const ports = ['--webhook-port', '0', '--observability-port', '0', '--host', '127.0.0.1'];
  const flags = ['--kubeconfig', kubeconfig, '--namespace', 'default', '--webhook-drain-seconds', '0', ...ports];
  const child = spawn(process.execPath, [operator, ...flags], { stdio: 'ignore', signal, killSignal: 'SIGTERM' });
  child.on('error', () => undefined);
  return child;
};

export const showPlansInApiServer = async (show: Show): Promise<void> => {
  show.onProgress(
    'a node needs root on Linux: this is the API server, kube-controller-manager and our controller alone',
  );
  const dir = await mkdtemp(join(tmpdir(), 'connection-budget-start-'));
  try {
    const server = await startApiServer({ dir, controllerManager: true, ...show });
    const kubectl = await kubectlFor(server.kubeconfig, show);
    const crds = JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [connectionBudgetCrd(), connectionNodeCrd()],
    });
    await kubectl(['apply', '--server-side', '-f', '-'], crds);
    await kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
    const child = startOperator(server.kubeconfig, show);
    await kubectl(['apply', '-f', show.quickstart]);
    await showBudgets(kubectl, show);
    child.kill();
    await server.stop();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

/** Never by the environment alone: the file is named, and --yes says that it may be changed. */
export const showExistingCluster = async (
  show: Show & { readonly kubeconfig: string; readonly yes: boolean },
): Promise<void> => {
  const kubectl = await kubectlFor(show.kubeconfig, show);
  const context = (await kubectl(['config', 'current-context'])).trim();
  if (!show.yes) throw new Error(`this would install the operator and the quickstart into ${context}: say --yes too`);
  const manifests = await readFile(join(import.meta.dirname, '..', '..', 'deploy', 'install.yaml'), 'utf8');
  show.onProgress(`installing into ${context}; its nodes need the image that npm run image builds`);
  await kubectl(['apply', '--server-side', '-f', '-'], manifests);
  await kubectl(['rollout', 'status', 'deployment', '-n', 'connectionbudget-system', '--timeout=120s']);
  await kubectl(['apply', '-f', show.quickstart]);
  await showBudgets(kubectl, show);
};
