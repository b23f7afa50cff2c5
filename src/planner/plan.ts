import type { Assumption, Demand, NodeFacts, PortRange } from './demand.ts';
import { type ContainerPlan, planDescriptors } from './descriptors.ts';
import type { Limit, Sysctl } from './limit.ts';
import { loadsFor, type Loads, sumOf } from './load.ts';
import { planMemory } from './memory.ts';
import { type NodeMinimum, planNodeTables } from './node-tables.ts';
import { planPath } from './path.ts';
import { planPorts } from './ports.ts';
import { planQueues } from './queues.ts';
import { addresses, type Addresses, type Bytes, connections, type Connections } from './quantities.ts';
import { extraFor } from './source-addresses.ts';
import { bindingLimitOf, reachableConnections } from './reachable.ts';

export interface Plan {
  readonly feasible: boolean;
  /** Per pod. planned: with headroom; reachable: without. */
  readonly connections: {
    readonly declared: Connections;
    readonly planned: Connections;
    readonly reachable: Connections;
  };
  readonly bindingLimit: Limit | undefined;
  readonly containers: readonly ContainerPlan[];
  readonly sysctls: readonly Sysctl[];
  readonly portRange: PortRange;
  readonly reservedPorts: readonly number[];
  readonly sourceAddresses: { readonly total: Addresses; readonly extra: Addresses };
  readonly kernelMemoryBytes: Bytes;
  readonly chargedMemoryBytes: Bytes;
  /** What every node that runs the pods must offer: counts; tcp_mem: its maximum, in pages. */
  readonly nodeMinimums: readonly NodeMinimum[];
  readonly assumptions: readonly Assumption[];
  readonly limits: readonly Limit[];
}

/** What a plan without a node's facts rests on, and what the node's missing facts leave open. */
const nodeAssumptions = (node: NodeFacts | undefined): readonly Assumption[] =>
  node === undefined ? [{ kind: 'NodeUnknown', subject: '', value: 0 }] : [];

const softLimits = (demand: Demand): readonly Assumption[] =>
  demand.containers
    .filter((container) => !container.softPlanned)
    .map((container) => ({ kind: 'OwnSoftLimit', subject: container.name, value: 0 }));

const nrOpenMinimum = (limits: readonly Limit[]): readonly NodeMinimum[] => {
  const needed = Math.max(0, ...limits.filter(({ limit }) => limit === 'fs.nr_open').map((limit) => limit.needed));
  return needed === 0 ? [] : [{ name: 'fs.nr_open', minimum: needed }];
};

const countsFor = (loads: Loads, limits: readonly Limit[]): Plan['connections'] => ({
  declared: connections(sumOf(loads.all, (load) => load.flow.connections)),
  planned: connections(sumOf(loads.all, (load) => load.connections)),
  reachable: connections(reachableConnections(limits, loads)),
});

const walk = (demand: Demand, loads: Loads, node: NodeFacts | undefined) => {
  const facts = node ?? {};
  const path = planPath(demand, loads);
  const translators = path.limits.filter(({ limit }) => limit === 'TranslatorPorts');
  const ports = planPorts(demand, loads, { node: facts, translators });
  return {
    descriptors: planDescriptors(demand, loads, node),
    ports,
    queues: planQueues(demand, loads),
    memory: planMemory(demand, loads, { node: facts, sourceTuples: ports.sourceTuples }),
    tables: planNodeTables(demand, loads, facts),
    path,
  };
};

const resultFor = (demand: Demand, { descriptors, ports, memory, tables }: ReturnType<typeof walk>) => ({
  containers: descriptors.containers,
  portRange: ports.range,
  reservedPorts: ports.reserved,
  sourceAddresses: { total: addresses(ports.addresses), extra: addresses(extraFor(demand, ports.addresses)) },
  kernelMemoryBytes: memory.kernelMemoryBytes,
  chargedMemoryBytes: memory.chargedMemoryBytes,
  nodeMinimums: [...nrOpenMinimum(descriptors.limits), ...tables.minimums],
});

/**
 * A walk along the path of a connection: each stage compares what it holds with what is needed, and says by which setting
 * it is raised or that it binds. Pure; a shortfall is an answer, not an error.
 */
export const plan = (demand: Demand, node?: NodeFacts): Plan => {
  const loads = loadsFor(demand);
  const stages = walk(demand, loads, node);
  const { descriptors, ports, queues, memory, tables, path } = stages;
  const limits = [
    ...descriptors.limits,
    ...ports.limits,
    ...queues.limits,
    ...memory.limits,
    ...tables.limits,
    ...path.limits,
  ];
  const bindingLimit = bindingLimitOf(limits, loads);
  return {
    feasible: bindingLimit === undefined,
    connections: countsFor(loads, limits),
    bindingLimit,
    ...resultFor(demand, stages),
    sysctls: [...ports.sysctls, ...queues.sysctls, ...memory.sysctls, ...path.sysctls],
    assumptions: [
      ...demand.assumptions,
      ...nodeAssumptions(node),
      ...softLimits(demand),
      ...ports.assumptions,
      ...queues.assumptions,
      ...memory.assumptions,
      ...path.assumptions,
    ],
    limits,
  };
};
