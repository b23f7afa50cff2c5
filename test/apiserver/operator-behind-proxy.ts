import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ApiServer } from '../cluster/lab/api-server.ts';
import { type FaultProxy, startFaultProxy } from '../kube/fault-proxy.ts';
import { type OperatorProcess, startOperator } from './operator-process.ts';

/** An operator whose every request passes a proxy of its own. */
export interface ProxiedOperator extends OperatorProcess {
  readonly proxy: FaultProxy;
}

export async function startBehindProxy(server: ApiServer, identity: string): Promise<ProxiedOperator> {
  const proxy = await startFaultProxy(server.kubeconfig);
  onTestFinished(proxy.close);
  const file = join(server.dir, `${identity}.kubeconfig`);
  await writeFile(file, proxy.config.exportConfig());
  return { ...startOperator(file, identity), proxy };
}

/** What only a leader writes: statuses and Events. */
export const leadersWrites = ({ proxy }: ProxiedOperator): number =>
  proxy.requests.filter((line) => /^(PATCH .*\/status|POST .*\/events)\b/.test(line)).length;
