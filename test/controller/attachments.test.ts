import { describe, expect, it } from 'vitest';
import type { AttachmentOffer } from '../../src/api/demand.ts';
import { nothingObserved } from '../../src/api/demand.ts';
import { reconcile } from '../../src/controller/reconcile.ts';
import type { MatchingPod, Situation } from '../../src/controller/situation.ts';
import { projectAttachment, projectPod } from '../../src/controller/projections.ts';
import { attachedSpec } from '../webhook/budgets.ts';
import { budgetOf, messageOf, shortOf, situationOf, withPods } from './situations.ts';

const budget = budgetOf({ ...attachedSpec, containers: [{ name: 'gateway', processes: 16 }] });

const situationWith = (attachment: AttachmentOffer, ...pods: readonly Partial<MatchingPod>[]): Situation => {
  const situation = situationOf({ budget, observed: { ...nothingObserved('messaging'), attachment } });
  return pods.length === 0 ? situation : withPods(situation, ...pods);
};

const absent: AttachmentOffer = {
  most: 0,
  refusal: { reason: 'AttachmentNotFound', message: 'NetworkAttachmentDefinition messaging/net-a does not exist' },
};
const unusable: AttachmentOffer = {
  most: 0,
  refusal: { reason: 'AttachmentNotUsable', message: 'Attachment messaging/net-a has IPAM dhcp' },
};

describe('Feasible', () => {
  it.each([
    { attachment: { most: 40 }, expected: 'Feasible True AssumptionsUnverified' },
    { attachment: { most: 3 }, expected: 'Feasible False LimitBinds' }, // 3 × 64,512 = 193,536 < 220,000
    { attachment: absent, expected: 'Feasible Unknown AttachmentNotFound' },
    { attachment: unusable, expected: 'Feasible False AttachmentNotUsable' },
  ] as const)('$expected', ({ attachment, expected }) => {
    expect(shortOf(reconcile(situationWith(attachment)).status)).toContain(expected);
  });

  it('says what is reached without', () => {
    expect(messageOf(reconcile(situationWith(absent)).status, 'Feasible')).toBe(
      'NetworkAttachmentDefinition messaging/net-a does not exist. Pods start without extra addresses: 64,512 of 200,000 declared connections per pod can be reached.',
    );
  });
});

describe('Verified', () => {
  it('is True where Multus reports the planned addresses', () => {
    const { status } = reconcile(situationWith({ most: 40 }, { attachedAddresses: 4 }));
    expect(shortOf(status)).toContain('Verified True AllPodsVerified');
    expect(status.pods).toEqual({ matched: 1, applied: 1, verified: 1 });
    expect(status.plan?.sourceAddresses).toEqual({ total: 4, extra: 4 });
  });

  it('is False with the number where it reports fewer', () => {
    const { status } = reconcile(situationWith({ most: 40 }, { attachedAddresses: 4 }, { attachedAddresses: 1 }));
    expect(shortOf(status)).toContain('Verified False AddressesMissing');
    expect(messageOf(status, 'Verified')).toBe(
      '1 pod lacks extra source addresses: gateway-2. Of gateway-2 3 of 4 are missing in its network-status.',
    );
    expect(status.pods?.verified).toBe(1);
  });
});

it('a pod made before its attachment was there is outdated, and current after', () => {
  const before = situationWith(absent, {});
  expect(shortOf(reconcile(before).status)).toContain('Applied True AllPodsCurrent');
  const after = { ...before, observed: { ...before.observed, attachment: { most: 40 } } };
  expect(shortOf(reconcile(after).status)).toContain('Applied False PodsOutdated');
});

it('a pod is read with what the user gives it and what Multus gave it', () => {
  const annotations = {
    'connectionbudget.io/source-ips': '192.0.2.5/24, 192.0.2.6/24',
    'connectionbudget.io/patched-networks': 'cb0',
    'k8s.v1.cni.cncf.io/network-status': JSON.stringify([
      { name: 'cbr0', interface: 'eth0', ips: ['10.0.0.9'], default: true },
      { name: 'messaging/net-a', interface: 'cb0', ips: ['192.0.2.5', '192.0.2.6'] },
    ]),
  };
  expect(projectPod({ metadata: { namespace: 'a', name: 'b', annotations } })).toMatchObject({
    givenAddresses: ['192.0.2.5/24', '192.0.2.6/24'],
    attachedAddresses: 2,
  });
});

it.each([
  [{ config: '{}' }, '{}'],
  [{}, ''],
  [{ config: 5 }, ''],
  [undefined, ''],
])('an attachment of spec %j has the configuration %j', (spec, config) => {
  expect(projectAttachment({ metadata: { namespace: 'a', name: 'b' }, spec })).toEqual({
    namespace: 'a',
    name: 'b',
    config,
  });
});
