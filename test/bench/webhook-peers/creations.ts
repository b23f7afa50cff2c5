import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cpuSecondsOf, type Load, loadWithoutFailure, median } from './measure.ts';
import { askTheirWebhook, type Setting } from './setting.ts';

/** Pods created through the API server in a namespace that asks our webhook, in one that asks another, in one that asks none. */

export interface CreationOptions {
  /** The load generator. */
  readonly program: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly operatorPid: number;
  /** Of controller-runtime. */
  readonly theirs: { readonly pid: number; readonly url: string };
}

export interface Creations {
  readonly name: string;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Of one creation. */
  readonly serverCpuMs: number;
  /** Of the operator; in the namespace that asks the other webhook, of that one. */
  readonly webhookCpuMs: number;
}

const kinds = [
  { name: 'with us', namespace: 'messaging', contains: '"connectionbudget.io/plan"' },
  { name: 'with controller-runtime', namespace: 'theirs', contains: '"connectionbudget.io/plan"' },
  { name: 'without', namespace: 'plain', contains: '"uid"' },
] as const;

const serverPidOf = async ({ server }: Setting): Promise<number> => {
  const record = JSON.parse(await readFile(join(server.dir, 'run', 'kube-apiserver.json'), 'utf8')) as { pid: number };
  return record.pid;
};

interface Pids {
  readonly server: number;
  readonly webhook: number;
}

const createOnce = async (program: string, pids: Pids, load: Load): Promise<Omit<Creations, 'name'>> => {
  const cpuSeconds = async () => ({
    server: await cpuSecondsOf(pids.server),
    webhook: await cpuSecondsOf(pids.webhook),
  });
  const before = await cpuSeconds();
  const { answers, p50Us, p99Us } = await loadWithoutFailure(program, load);
  const after = await cpuSeconds();
  const perAnswerMs = (used: number): number => (used * 1000) / answers;
  return {
    perSecond: answers / load.seconds,
    p50Us,
    p99Us,
    serverCpuMs: perAnswerMs(after.server - before.server),
    webhookCpuMs: perAnswerMs(after.webhook - before.webhook),
  };
};

export const createPods = async (options: CreationOptions, setting: Setting): Promise<readonly Creations[]> => {
  const { server } = setting;
  const body = join(server.dir, 'pod.json');
  await writeFile(body, JSON.stringify(setting.pod));
  await askTheirWebhook(setting, options.theirs.url);
  const serverPid = await serverPidOf(setting);
  const { certificateFile, keyFile } = server.identity.kubeletClient;
  const results = kinds.map(() => [] as Omit<Creations, 'name'>[]);
  for (let round = 0; round < options.rounds; round += 1) {
    const inTurn = [...kinds.entries()];
    for (const [index, { namespace, contains }] of round % 2 === 0 ? inTurn : inTurn.toReversed()) {
      const url = `${server.url}/api/v1/namespaces/${namespace}/pods`;
      const client = { certificate: certificateFile, key: keyFile };
      const load = { url, body, contains, connections: 16, seconds: options.seconds, client };
      const webhook = namespace === 'theirs' ? options.theirs.pid : options.operatorPid;
      results[index]?.push(await createOnce(options.program, { server: serverPid, webhook }, load));
    }
  }
  return kinds.map(({ name }, index) => {
    const middle = (field: keyof Omit<Creations, 'name'>) => median((results[index] ?? []).map((one) => one[field]));
    return {
      name,
      perSecond: middle('perSecond'),
      p50Us: middle('p50Us'),
      p99Us: middle('p99Us'),
      serverCpuMs: middle('serverCpuMs'),
      webhookCpuMs: middle('webhookCpuMs'),
    };
  });
};
