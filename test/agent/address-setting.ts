import { execFileSync } from 'node:child_process';
import type { PlanSection } from '../../src/api/pod-annotation.ts';
import type { PodNetwork } from '../addresses/pod-network-setting.ts';
import type { NetworkNamespace } from '../linux/network-namespace.ts';
import { type NodeSetting, setNode } from './node-setting.ts';

/** What the tests of further addresses share. */

export const further = (extra: number): Partial<PlanSection> => ({
  sourceAddresses: { provider: 'PodNetwork', extra, spread: 'Application' },
  sysctls: {},
});

export const patience = { timeout: 20_000, interval: 200 };

export const nodeOn = (network: PodNetwork): Promise<NodeSetting> =>
  setNode({}, network.node.path, { addresses: network.provider });

export const addressesIn = (netns: NetworkNamespace): readonly string[] =>
  execFileSync('ip', ['-n', netns.name, '-o', 'address', 'show', 'dev', 'eth0', 'scope', 'global'], {
    encoding: 'utf8',
  })
    .split('\n')
    .flatMap((line) => / inet6? (\S+)\/\d+/.exec(line)?.[1] ?? [])
    .toSorted();
