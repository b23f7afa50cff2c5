import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startApiServer } from '../../cluster/lab/api-server.ts';
import { findDaemon } from '../../cluster/lab/process.ts';

const run = promisify(execFile);

/** A real API server with many pods of about 8 KB, on a core of its own. */
export interface CrowdedServer {
  readonly kubeconfig: string;
  /** The Go program of this folder, built. */
  readonly program: string;
  /** "VERB RESOURCE[/SUBRESOURCE]" of every request so far but long-running ones, from the server's audit log. */
  readonly requests: () => Promise<readonly string[]>;
  /** CPU time of etcd and the server so far. */
  readonly busySeconds: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

export interface Crowd {
  readonly pods: number;
  readonly namespaces: number;
  /** Values of the label "app", all namespaces together. */
  readonly apps: number;
}

const serverCore = '1';
export const readerCore = '0';

const policy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [{ level: 'None', verbs: ['watch'] }, { level: 'None', users: ['system:apiserver'] }, { level: 'Metadata' }],
};

/** With a `directory` the pods stay there for the next time, which fills it only when it asks for another crowd. */
export async function startCrowdedServer(crowd: Crowd, directory?: string): Promise<CrowdedServer> {
  const dir = directory ?? (await mkdtemp(join(tmpdir(), 'crowd-')));
  const [mark, program, audit] = ['crowd.json', 'crowd', 'audit.log'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  const isFilled = existsSync(mark) && (await readFile(mark, 'utf8')) === JSON.stringify(crowd);
  if (!isFilled) await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' };
  await run('go', ['build', '-o', program, '.'], { cwd: import.meta.dirname, env });
  await writeFile(join(dir, 'policy.json'), JSON.stringify(policy));
  await rm(audit, { force: true });
  const extraArguments = [`--audit-policy-file=${join(dir, 'policy.json')}`, `--audit-log-path=${audit}`];
  const start = () => startApiServer({ dir, extraArguments, onProgress: console.error });
  let server = await start();
  const size = ['pods', 'namespaces', 'apps'].map((name) => `-${name}=${crowd[name as keyof Crowd]}`);
  if (!isFilled) {
    await run(program, [`-kubeconfig=${server.kubeconfig}`, `-etcd=${server.etcdUrl}`, ...size]);
    // What went past the server into etcd reaches its cache much later, and it says of itself that it is behind.
    await server.stop();
    server = await start();
  }
  await writeFile(mark, JSON.stringify(crowd));
  await pin(dir);
  return {
    kubeconfig: server.kubeconfig,
    program,
    requests: () => readRequests(audit),
    busySeconds: () => busySecondsOf(dir),
    stop: async () => {
      await server.stop();
      if (directory === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
}

const daemons = ['etcd', 'kube-apiserver'] as const;

async function pin(dir: string): Promise<void> {
  for (const name of daemons) {
    await run('taskset', ['--all-tasks', '--pid', '--cpu-list', serverCore, String(findDaemon(dir, name)?.pid)]);
  }
}

/** Fields 14 and 15 of proc_pid_stat(5) are ticks of 10 ms; the second field may contain spaces. */
async function busySecondsOf(dir: string): Promise<number> {
  let ticks = 0;
  for (const name of daemons) {
    const stat = await readFile(`/proc/${findDaemon(dir, name)?.pid}/stat`, 'utf8');
    const [user, system] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14);
    ticks += Number(user) + Number(system);
  }
  return ticks / 100;
}

interface AuditEvent {
  readonly verb: string;
  readonly objectRef?: { readonly resource: string; readonly subresource?: string };
}

async function readRequests(audit: string): Promise<readonly string[]> {
  const lines = (await readFile(audit, 'utf8')).split('\n').filter((line) => line !== '');
  return lines.flatMap((line) => {
    const { verb, objectRef } = JSON.parse(line) as AuditEvent;
    return objectRef === undefined
      ? []
      : [[`${verb} ${objectRef.resource}`, objectRef.subresource].filter(Boolean).join('/')];
  });
}
