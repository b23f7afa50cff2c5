import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseConnectionBudget } from '../../src/api/budget-object.ts';
import { demandFor, nothingObserved } from '../../src/api/demand.ts';
import { type Plan, plan } from '../../src/planner/plan.ts';
import { explainBinding } from '../../src/planner/remedy.ts';

const exampleDemand = (name: string) => {
  const file = new URL(`../../examples/${name}.yaml`, import.meta.url);
  const { budget, violations } = parseConnectionBudget(parse(readFileSync(file, 'utf8')));
  expect(violations).toBeUndefined();
  return demandFor(budget!.spec, nothingObserved(budget!.namespace));
};

const limitOf = ({ limits }: Plan, part: object) => {
  const found = limits.find((limit) => Object.entries(part).every(([key, value]) => Reflect.get(limit, key) === value));
  return found === undefined ? undefined : [found.needed, found.capacity, found.status];
};

/** Worked by hand; headroom 10 %, no node known. */
describe('an MQTT broker behind a load balancer that hides its clients', () => {
  const demand = exampleDemand('mqtt-broker');
  const result = plan(demand);

  it('is bound by the 55,000 tuples of the load balancer', () => {
    expect(result.feasible).toBe(false);
    expect(result.connections).toEqual({ declared: 500_000, planned: 550_000, reachable: 55_000 });
    expect(result.bindingLimit).toMatchObject({ stage: 'LoadBalancer', needed: 550_000, capacity: 55_000 });
    expect(explainBinding(demand, result.bindingLimit!).remedy).toContain('10 ports or targets');
  });

  it('has an accept queue that no sysctl helps: 2,200/s × 1 s against min(1024, 4096) + 1', () => {
    expect(limitOf(result, { limit: 'AcceptQueue' })).toEqual([2200, 1025, 'Binding']);
    expect(result.sysctls.map(({ name }) => name)).not.toContain('net.core.somaxconn');
  });

  it('gets 550,512 descriptors, more than the runtime hands out', () => {
    expect(limitOf(result, { limit: 'RLIMIT_NOFILE' })).toEqual([550_512, 524_288, 'Raised']);
    expect(result.containers).toEqual([
      { name: 'broker', processes: 1, descriptors: { soft: 550_512, hard: 550_512 } },
    ]);
  });

  it('needs 550,000 + 55/s × 120 s conntrack entries on its node', () => {
    expect(result.nodeMinimums).toContainEqual({ name: 'net.netfilter.nf_conntrack_max', minimum: 556_600 });
  });

  it('costs about 4.0 KB of kernel memory a connection and 16 KiB of its own', () => {
    expect(result.kernelMemoryBytes).toBe(550_000 * 4015);
    expect(result.chargedMemoryBytes).toBe(550_000 * (4015 + 16_384));
  });
});

describe('a crawler through the address of its node and a NAT gateway', () => {
  const demand = exampleDemand('web-crawler');
  const result = plan(demand);

  it('is bound by the masquerading node: 2 × (27,500 + 110/s × 120 s) against 62,000', () => {
    expect(result.bindingLimit).toMatchObject({ stage: 'NAT', subject: 'node', needed: 81_400, capacity: 62_000 });
    expect(result.connections.reachable).toBe(190_000); // 2 × (0.1 N + 12,000) = 62,000
    expect(explainBinding(demand, result.bindingLimit!).remedy).toContain('one pod per node');
  });

  it('misses the gateway by a hair: 4 × (27,500 + 110) against 110,000', () => {
    expect(limitOf(result, { subject: 'gateway' })).toEqual([110_440, 110_000, 'Binding']);
  });

  it('widens its port range for 27,500 + 110/s × 61 s, and wants no extra address', () => {
    expect(limitOf(result, { stage: 'Socket' })).toEqual([34_210, 28_232, 'Raised']);
    expect(result.sourceAddresses).toEqual({ total: 1, extra: 0 });
  });

  it('gets 69,262 descriptors in each of 4 processes', () => {
    expect(result.containers[0]).toMatchObject({ processes: 4, descriptors: { soft: 69_262 } });
  });

  it('needs 2 × (275,000 + 1,100/s × 120 s) conntrack entries on its node', () => {
    expect(result.nodeMinimums).toContainEqual({ name: 'net.netfilter.nf_conntrack_max', minimum: 814_000 });
  });
});

describe('a chat behind three ingress pods', () => {
  const result = plan(exampleDemand('websocket-chat'));

  it('is bound by the ports of its clients: 3 × 28,232 against 110,000', () => {
    expect(result.bindingLimit).toMatchObject({ stage: 'Clients', needed: 110_000, capacity: 84_696 });
    expect(result.connections.reachable).toBe(84_696);
  });

  it('has too short a backlog for 1,650/s × 0.5 s', () => {
    expect(limitOf(result, { limit: 'AcceptQueue' })).toEqual([825, 512, 'Binding']);
  });

  it('gets 110,256 descriptors instead of 1,024', () => {
    expect(limitOf(result, { limit: 'RLIMIT_NOFILE' })).toEqual([110_256, 1024, 'Raised']);
  });
});

describe('a collector that holds 200,000 connections to one address and port', () => {
  const result = plan(exampleDemand('source-addresses'));

  it('gets three further addresses: 220,000 is more than 3 × 61,286 and less than 4 × 61,286', () => {
    expect(result.sourceAddresses).toEqual({ total: 4, extra: 3 });
    expect(result.feasible).toBe(true);
    expect(result.connections.reachable).toBe(4 * 64_512);
  });

  it('gets 18,398 descriptors in each of 12 processes', () => {
    expect(result.containers[0]).toMatchObject({ processes: 12, descriptors: { soft: 18_398 } });
  });
});
