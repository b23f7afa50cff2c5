import type { ContainerDemand, Demand, NodeFacts } from './demand.ts';
import { defaultNofile, defaultNrOpen } from './kernel.ts';
import { type Limit, limitFor, neededFor, noTerms, type Terms } from './limit.ts';
import { type Load, type Loads, termsFor } from './load.ts';

/** What one container gets: RLIMIT_NOFILE per process, setrlimit(2). */
export interface ContainerPlan {
  readonly name: string;
  readonly processes: number;
  readonly descriptors: { readonly soft: number; readonly hard: number };
}

const sidecarDescriptorsPerConnection = 2;

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

export const planDescriptors = (
  demand: Demand,
  loads: Loads,
  node: NodeFacts | undefined,
): { readonly containers: readonly ContainerPlan[]; readonly limits: readonly Limit[] } => {
  const runtime = node?.runtimeNofile ?? defaultNofile;
  const nrOpen = node === undefined ? defaultNrOpen : node.nrOpen;
  const settable = node?.settableNofile;
  const containers: ContainerPlan[] = [];
  const limits: Limit[] = [];
  for (const [index, container] of demand.containers.entries()) {
    const own = loads.all.filter((load) => load.flow.container === index);
    const passing = loads.all.filter((load) => isSidecarOf(load, container));
    const terms = descriptorTerms(container, own, passing);
    const identity = {
      subject: container.name,
      unit: 'descriptors',
      terms,
      concerns: (own.length === 0 ? passing : own).map((load) => load.index),
    } as const;
    const needed = neededFor(terms);
    const held = container.softPlanned && needed <= runtime.hard ? runtime.soft : runtime.hard;
    limits.push(
      limitFor({
        ...identity,
        stage: 'Process',
        limit: 'RLIMIT_NOFILE',
        scope: 'Process',
        capacity: held,
        raisable: settable ?? Infinity,
      }),
      limitFor({ ...identity, stage: 'Node', limit: 'fs.nr_open', scope: 'Node', capacity: nrOpen }),
    );
    const hard = Math.min(Math.max(needed, runtime.soft), settable ?? nrOpen ?? needed, nrOpen ?? needed);
    const soft = container.softPlanned ? hard : Math.min(runtime.soft, hard);
    containers.push({ name: container.name, processes: container.processes, descriptors: { soft, hard } });
  }
  return { containers, limits };
};
