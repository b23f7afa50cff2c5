import type { ContainerDemand, Demand, NodeFacts } from './demand.ts';
import { defaultNofile, defaultNrOpen, largestInteger } from './kernel.ts';
import { type Limit, limitFor, neededFor, noTerms, type Terms } from './limit.ts';
import { type Load, type Loads, termsFor } from './load.ts';
import { descriptors, type Descriptors } from './quantities.ts';

/** What one container gets: RLIMIT_NOFILE per process, setrlimit(2). */
export interface ContainerPlan {
  readonly name: string;
  readonly processes: number;
  readonly descriptors: { readonly soft: Descriptors; readonly hard: Descriptors };
}

/** A sidecar accepts a connection and opens another for it. */
export const sidecarDescriptorsPerConnection = 2;

const isSidecarOf = (load: Load, container: ContainerDemand): boolean =>
  load.flow.path.some(({ type, name }) => type === 'Sidecar' && name === container.name);

/**
 * Connections ÷ processes × descriptors per connection + reserved, such as 275,000 ÷ 4 × 1 + 512 = 69,262. A sidecar that
 * the budget lists holds two descriptors for each connection that passes it.
 */
const descriptorTerms = (container: ContainerDemand, own: readonly Load[], passing: readonly Load[]): Terms => {
  const passes = own.length === 0 && passing.length > 0;
  return {
    ...noTerms,
    ...termsFor(passes ? passing : own),
    rate: 0,
    declaredRate: 0,
    denominator: container.processes,
    factor: passes ? sidecarDescriptorsPerConnection : container.descriptorsPerConnection,
    fixed: container.reservedDescriptors,
  };
};

interface Surroundings {
  readonly runtime: { readonly soft: number; readonly hard: number };
  readonly nrOpen: number | undefined;
  readonly settable: number | undefined;
}

const surroundingsFor = (node: NodeFacts | undefined): Surroundings => ({
  runtime: node?.runtimeNofile ?? defaultNofile,
  nrOpen: node === undefined ? defaultNrOpen : node.nrOpen,
  settable: node?.settableNofile,
});

const limitsFor = (
  container: ContainerDemand,
  { terms, concerns }: Pick<Limit, 'terms' | 'concerns'>,
  { runtime, nrOpen, settable }: Surroundings,
): readonly Limit[] => {
  const identity = { subject: container.name, unit: 'descriptors', terms, concerns } as const;
  const held = container.softPlanned && neededFor(terms) <= runtime.hard ? runtime.soft : runtime.hard;
  const process = { stage: 'Process', limit: 'RLIMIT_NOFILE', scope: 'Process' } as const;
  return [
    limitFor({ ...identity, ...process, capacity: held, raisable: settable ?? Infinity }),
    limitFor({ ...identity, stage: 'Node', limit: 'fs.nr_open', scope: 'Node', capacity: nrOpen }),
  ];
};

/** What is needed, at most what a process can have; below the default the default is kept. */
const containerPlan = (
  { name, processes, softPlanned }: ContainerDemand,
  terms: Terms,
  { nrOpen = largestInteger }: Surroundings,
): ContainerPlan => {
  const hard = Math.min(Math.max(neededFor(terms), defaultNofile.soft), nrOpen);
  return {
    name,
    processes,
    descriptors: { soft: descriptors(softPlanned ? hard : defaultNofile.soft), hard: descriptors(hard) },
  };
};

export const planDescriptors = (
  demand: Demand,
  loads: Loads,
  node: NodeFacts | undefined,
): { readonly containers: readonly ContainerPlan[]; readonly limits: readonly Limit[] } => {
  const surroundings = surroundingsFor(node);
  const containers: ContainerPlan[] = [];
  const limits: Limit[] = [];
  for (const [index, container] of demand.containers.entries()) {
    const own = loads.all.filter((load) => load.flow.container === index);
    const passing = loads.all.filter((load) => isSidecarOf(load, container));
    const terms = descriptorTerms(container, own, passing);
    const concerns = (own.length === 0 ? passing : own).map((load) => load.index);
    limits.push(...limitsFor(container, { terms, concerns }, surroundings));
    containers.push(containerPlan(container, terms, surroundings));
  }
  return { containers, limits };
};
