import { amountText, bytesText, numberText } from '../planner/explain.ts';
import type { Limit, Sysctl } from '../planner/limit.ts';
import type { Plan } from '../planner/plan.ts';
import type { PlannedBudget } from './plan-json.ts';

/** What text and page say of a plan in the same words. */

export const nameOf = ({ budget }: Pick<PlannedBudget, 'budget'>): string => `${budget.namespace}/${budget.name}`;

export const verdictOf = ({ feasible }: Plan): string => (feasible ? 'feasible' : 'NOT feasible');

export const nofileText = ({ name, processes, descriptors }: Plan['containers'][number]): string =>
  `${numberText(descriptors.soft)} soft, ${numberText(descriptors.hard)} hard in each of ${numberText(processes)} ${processes === 1 ? 'process' : 'processes'} of container ${name === '' ? '(the first)' : name}`;

export const setterText = ({ setBy }: Pick<Sysctl, 'setBy'>): string => `set by the ${setBy.toLowerCase()}`;

export const memoryText = ({ kernelMemoryBytes, chargedMemoryBytes }: Plan): string =>
  `${bytesText(kernelMemoryBytes)} of kernel memory for its sockets; ${bytesText(chargedMemoryBytes)} count against its memory limit`;

/** "81,400 ports of 62,000 ports": what is needed of what is there. */
export const neededOfText = ({ capacity, needed, unit }: Pick<Limit, 'capacity' | 'needed' | 'unit'>): string =>
  `${amountText(needed, unit)} of ${capacity === undefined ? 'unknown' : amountText(capacity, unit)}`;
