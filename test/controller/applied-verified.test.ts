import { describe, test } from 'vitest';
import { expectCondition, fitting, off, type Row } from './condition-rows.ts';
import type { CarriedPlan } from '../../src/controller/cluster.ts';
import { carriedFor, hashFor, podOf, reportOf, situationOf, withPods } from './situations.ts';

const current = carriedFor(situationOf());
const carriedWithLimit = (hash: string, limit: number): CarriedPlan => ({
  hash,
  section: { ...current.section, containers: [{ name: 'gateway', soft: limit, hard: limit }] },
});
const smaller = carriedWithLimit('0123456789abcdef', 22_063);
const larger = carriedWithLimit('fedcba9876543210', 1_000_000);
const justNow = '2026-11-23T11:59:31Z';

const applied: readonly Row[] = [
  {
    fact: 'no pod is no answer',
    situation: situationOf(),
    type: 'Applied',
    is: 'Unknown NoPods',
    says: [],
  },
  {
    fact: 'a pod that does not run yet is not counted',
    situation: withPods(situationOf(), { isRunning: false }),
    type: 'Applied',
    is: 'Unknown NoPods',
    says: [],
  },
  {
    fact: 'all pods with the hash of the plan are current',
    situation: withPods(situationOf(), {}, {}),
    type: 'Applied',
    is: 'True AllPodsCurrent',
    says: ['2 of 2'],
  },
  {
    fact: 'a pod with another hash is outdated and named',
    situation: withPods(situationOf(), {}, { carried: smaller }),
    type: 'Applied',
    is: 'False PodsOutdated',
    says: ['1 of 2', 'gateway-2'],
  },
  {
    fact: 'a pod that carries more than is planned is current',
    situation: withPods(situationOf(), { carried: larger, report: reportOf(larger.hash) }),
    type: 'Applied',
    is: 'True AllPodsCurrent',
    says: ['1 of 1 running pods carries'],
  },
  {
    fact: 'pods that all have the plan of an older budget are none to restart',
    situation: situationOf({ rivals: [{ name: 'older', wins: true, pods: 2 }] }),
    type: 'Applied',
    is: 'False OlderBudgetWins',
    says: ['older'],
  },
  {
    fact: 'a pod without a plan is outdated',
    situation: withPods(situationOf(), { carried: undefined }),
    type: 'Applied',
    is: 'False PodsOutdated',
    says: ['0 of 1'],
  },
  {
    fact: 'a pod in the network of its node is told what it does not get',
    situation: withPods(situationOf(), { observed: { ...podOf().observed, hostNetwork: true } }),
    type: 'Applied',
    is: 'True AllPodsCurrent',
    says: ["gateway-1: the network is the node's"],
  },
  {
    fact: 'pods that nobody may touch are counted apart',
    situation: withPods(situationOf({ untouchable: 2 }), {}),
    type: 'Applied',
    is: 'True AllPodsCurrent',
    says: ['1 of 1', '2 Windows or static pods'],
  },
  {
    fact: 'mode Off changes no pod',
    situation: withPods(off, { carried: undefined }),
    type: 'Applied',
    is: 'False ModeOff',
    says: ['0 of 1'],
  },
  {
    fact: 'a namespace that is not enabled comes with the command that enables it',
    situation: { ...fitting, isNamespaceEnabled: false },
    type: 'Applied',
    is: 'False NamespaceNotEnabled',
    says: ['kubectl label namespace messaging connectionbudget.io/enabled=true'],
  },
];

const withoutAddresses = (message: string) => reportOf('', { verified: false, reason: 'AddressesMissing', message });

const verified: readonly Row[] = [
  { fact: 'no pod verifies nothing', situation: situationOf(), type: 'Verified', is: 'Unknown NoPods', says: [] },
  {
    fact: 'every pod that its agent saw as planned is verified',
    situation: withPods(situationOf(), {}, {}),
    type: 'Verified',
    is: 'True AllPodsVerified',
    says: ['2 of 2'],
  },
  {
    fact: 'a limit that came after the start is verified and said',
    situation: withPods(situationOf(), { report: reportOf(hashFor(situationOf()), { reason: 'AppliedLate' }) }),
    type: 'Verified',
    is: 'True AppliedLate',
    says: ['gateway-1'],
  },
  {
    fact: 'a pod that its agent has not reported yet is unverified',
    situation: withPods(situationOf(), {}, { report: undefined }),
    type: 'Verified',
    is: 'False PodsUnverified',
    says: ['1 of 2', 'gateway-2'],
  },
  {
    fact: 'what a pod carries is what its agent is asked about',
    situation: withPods(situationOf(), { carried: larger, report: reportOf(larger.hash) }),
    type: 'Verified',
    is: 'True AllPodsVerified',
    says: ['1 of 1 running pods was seen'],
  },
  {
    fact: 'a report of what is planned says nothing of a pod that carries more',
    situation: withPods(situationOf(), { carried: larger }),
    type: 'Verified',
    is: 'False PodsUnverified',
    says: ['0 of 1'],
  },
  {
    fact: 'a pod that has run for less than 30 s is waited for',
    situation: withPods(situationOf(), {}, { startedAt: justNow, report: undefined }),
    type: 'Verified',
    is: 'Unknown Pending',
    says: ['1 of 2', 'gateway-2'],
  },
  {
    fact: 'of the pods that are not verified only those are named that had their time',
    situation: withPods(situationOf(), { report: undefined }, { startedAt: justNow, report: undefined }),
    type: 'Verified',
    is: 'False PodsUnverified',
    says: ['0 of 2', 'not yet: gateway-1.'],
  },
  {
    fact: 'a report of an earlier plan verifies nothing',
    situation: withPods(situationOf(), { report: reportOf('0123456789abcdef') }),
    type: 'Verified',
    is: 'False PodsUnverified',
    says: ['0 of 1'],
  },
  {
    fact: 'pods that their kubelet refuses are told of with its words',
    situation: situationOf({
      pods: [podOf({ isRunning: false, refusal: 'forbidden sysctl: "net.core.somaxconn" not allowlisted' })],
    }),
    type: 'Applied',
    is: 'False PodsRefused',
    says: ['1 pod was refused', 'gateway-1', 'forbidden sysctl: "net.core.somaxconn" not allowlisted'],
  },
  {
    fact: 'a node without an agent is named',
    situation: withPods(situationOf(), { report: undefined, hasAgent: false, nodeName: 'node-b' }),
    type: 'Verified',
    is: 'False AgentAbsent',
    says: ['node-b'],
  },
  {
    fact: 'why the agent of a node is of no use is said in its words',
    situation: withPods(situationOf(), {
      report: undefined,
      hasAgent: false,
      nodeName: 'node-b',
      agentObstacle: 'no runtime listens at /var/run/nri/nri.sock',
    }),
    type: 'Verified',
    is: 'False AgentAbsent',
    says: ['node-b', 'no runtime listens at /var/run/nri/nri.sock'],
  },
  {
    fact: 'a signature that does not verify is more than unverified',
    situation: withPods(
      situationOf(),
      { report: undefined },
      { report: reportOf('', { verified: false, reason: 'SignatureInvalid', message: 'unknown key k9' }) },
    ),
    type: 'Verified',
    is: 'False SignatureInvalid',
    says: ['gateway-2', 'unknown key k9'],
  },
  {
    fact: 'a limit that cannot be set is said with the numbers of the agent',
    situation: withPods(situationOf(), {
      report: reportOf('', { verified: false, reason: 'LimitNotSettable', message: '22064 needed, 4096 settable' }),
    }),
    type: 'Verified',
    is: 'False LimitNotSettable',
    says: ['22064 needed, 4096 settable'],
  },
  {
    fact: 'a sysctl that cannot be set is one too',
    situation: withPods(situationOf(), {
      report: reportOf('', { verified: false, reason: 'SysctlNotSettable', message: 'net.core.somaxconn' }),
    }),
    type: 'Verified',
    is: 'False LimitNotSettable',
    says: ['net.core.somaxconn'],
  },
  {
    fact: 'a pod that runs without its addresses is one that was not given what is planned',
    situation: withPods(situationOf(), { report: withoutAddresses('calico routes only its own') }),
    type: 'Verified',
    is: 'False AddressesMissing',
    says: ['1 pod runs without the planned source addresses: gateway-1', 'calico routes only its own'],
  },
  {
    fact: 'a pod that cannot start without its addresses is told of, beside pods that run',
    situation: withPods(situationOf(), {}, { isRunning: false, report: withoutAddresses('2 of 4 are missing') }),
    type: 'Verified',
    is: 'False AddressesMissing',
    says: ['1 pod cannot start without the planned source addresses: gateway-2', '2 of 4 are missing'],
  },
  {
    fact: 'a pod that cannot start without its addresses is told of, where it is the only one',
    situation: withPods(situationOf(), { isRunning: false, report: withoutAddresses('2 of 4 are missing') }),
    type: 'Verified',
    is: 'False AddressesMissing',
    says: ['gateway-1'],
  },
  {
    fact: 'a pod whose connections nobody spreads is told of, with the reason of its node',
    situation: withPods(situationOf(), {
      report: reportOf('', { verified: false, reason: 'SpreadNotAvailable', message: 'kernel 5.10' }),
    }),
    type: 'Verified',
    is: 'False SpreadNotAvailable',
    says: ['1 pod runs without what spreads its connections: gateway-1', 'kernel 5.10'],
  },
  {
    fact: 'mode Off has nothing to verify',
    situation: withPods(off, {}),
    type: 'Verified',
    is: 'Unknown ModeOff',
    says: [],
  },
];

describe.each([
  ['Applied', applied],
  ['Verified', verified],
])('%s', (_, rows) => {
  test.each(rows)('$fact', expectCondition);
});
