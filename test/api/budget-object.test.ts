import { describe, expect, it } from 'vitest';
import { parseConnectionBudget } from '../../src/api/budget-object.ts';
import { violationText } from '../../src/api/violations.ts';
import { badInputs, goodSpec } from './bad-input.ts';

const object = (spec: unknown) => ({
  apiVersion: 'connectionbudget.io/v1alpha1',
  kind: 'ConnectionBudget',
  metadata: { name: 'gateway', namespace: 'messaging' },
  spec,
});

describe('a budget', () => {
  it('gets the documented defaults', () => {
    const { budget } = parseConnectionBudget(object(goodSpec));
    expect(budget).toMatchObject({
      namespace: 'messaging',
      name: 'gateway',
      spec: {
        headroomPercent: 10,
        updatePolicy: { mode: 'Initial' },
        sourceAddresses: { provider: 'None', maximum: 0, spread: 'Transparent' },
        queuedBytes: { receive: '0', send: '0' },
        inbound: [
          {
            peakOpensPerSecond: 0,
            closesPerSecond: 0,
            closedBy: 'Peer',
            acceptStallMilliseconds: 1000,
            listen: { backlog: 4096, sockets: 1 },
            path: [],
          },
        ],
        outbound: [
          {
            closedBy: 'Pod',
            binding: 'Late',
            portSelection: 'Kernel',
            path: [],
            destination: { service: { reachedBy: 'ClusterIP' } },
          },
        ],
      },
    });
    expect(budget?.spec.scale).toBeUndefined();
  });

  it('without a namespace is in default', () => {
    const { metadata: _, ...rest } = object(goodSpec);
    expect(parseConnectionBudget({ ...rest, metadata: { name: 'a' } }).budget?.namespace).toBe('default');
  });

  it.each(badInputs)('with $name is refused, naming $field', ({ spec, field, value, rule }) => {
    const { budget, violations = [] } = parseConnectionBudget(object(spec));
    expect(budget).toBeUndefined();
    const texts = violations.map(violationText);
    expect(texts).toContainEqual(expect.stringContaining(field));
    const text = texts.find((entry) => entry.includes(field)) ?? '';
    expect(text).toContain(value);
    expect(text).toContain(rule);
  });

  it.each([null, 7, 'words', [], {}, { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: {} }])(
    '%j is refused without throwing',
    (input) => {
      expect(parseConnectionBudget(input).violations?.length).toBeGreaterThan(0);
    },
  );
});
