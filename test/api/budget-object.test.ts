import { describe, expect, it } from 'vitest';
import { parseConnectionBudget, parseServedBudget } from '../../src/api/budget-object.ts';
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

describe('a budget that the API server hands out', () => {
  const inbound = [{ name: 'mqtt', port: 1883, connections: 10, encrypted: true, 'ktls.offload': 'no' }];
  const newer = object({ ...goodSpec, inbound, sockets: { busyPoll: 50 } });

  it('is planned without the fields of a newer definition, which are named', () => {
    const { budget, unknownFields } = parseServedBudget(newer);
    expect(budget).toEqual(
      parseConnectionBudget(object({ ...goodSpec, inbound: [{ name: 'mqtt', port: 1883, connections: 10 }] })).budget,
    );
    expect(unknownFields).toEqual(['spec.inbound[0].encrypted', 'spec.inbound[0].ktls.offload', 'spec.sockets']);
    expect(newer.spec).toHaveProperty('sockets');
  });

  it('breaks the rules that it breaks all the same', () => {
    const violations = parseServedBudget(object({ ...goodSpec, sockets: {}, headroomPercent: -1 })).violations ?? [];
    expect(violations.map(violationText)).toEqual(['spec.headroomPercent: -1: must be at least 0']);
  });

  it.each([null, 7, 'words', [], { more: 1 }])('%j is refused without throwing', (input) => {
    expect(parseServedBudget(input).violations?.length).toBeGreaterThan(0);
  });
});
